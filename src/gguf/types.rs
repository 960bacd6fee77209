//! Tensor types: the numbers that name them in a file, and how many bytes a row of each takes.
//!
//! The table is a list of facts about ggml's formats (`enum ggml_type` in `ggml.h`, block structs
//! in `ggml-common.h`, ggml 0.26). It knows nothing of how values are packed inside a block.

use crate::{Error, ErrorKind, Result};
use std::{fmt, str::FromStr};

macro_rules! tensor_types {
    ($($variant:ident = $id:literal, $name:literal, $block_size:literal, $type_size:literal;)*) => {
        /// Format of a tensor's values. Values are stored in blocks of [`block_size`](Self::block_size)
        /// consecutive elements of a row, each block taking [`type_size`](Self::type_size) bytes.
        #[allow(non_camel_case_types, missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum TensorType { $($variant = $id,)* }

        impl TensorType {
            /// Every type, in order of its number.
            pub const ALL: &[TensorType] = &[$(TensorType::$variant,)*];

            /// The type that number `id` means, unless unknown or withdrawn.
            pub fn from_id(id: u32) -> Option<Self> {
                match id {
                    $($id => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Name in lower case, as `q4_k`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Elements per block.
            pub fn block_size(self) -> u64 {
                match self { $(Self::$variant => $block_size,)* }
            }

            /// Bytes per block.
            pub fn type_size(self) -> u64 {
                match self { $(Self::$variant => $type_size,)* }
            }
        }
    };
}

// variant = id, name, elements per block, bytes per block. Numbers missing from the sequence were
// withdrawn from the format (4, 5, 31 to 33, 36 to 38).
tensor_types! {
    F32 = 0, "f32", 1, 4;
    F16 = 1, "f16", 1, 2;
    Q4_0 = 2, "q4_0", 32, 18;
    Q4_1 = 3, "q4_1", 32, 20;
    Q5_0 = 6, "q5_0", 32, 22;
    Q5_1 = 7, "q5_1", 32, 24;
    Q8_0 = 8, "q8_0", 32, 34;
    Q8_1 = 9, "q8_1", 32, 36;
    Q2K = 10, "q2_k", 256, 84;
    Q3K = 11, "q3_k", 256, 110;
    Q4K = 12, "q4_k", 256, 144;
    Q5K = 13, "q5_k", 256, 176;
    Q6K = 14, "q6_k", 256, 210;
    Q8K = 15, "q8_k", 256, 292;
    IQ2XXS = 16, "iq2_xxs", 256, 66;
    IQ2XS = 17, "iq2_xs", 256, 74;
    IQ3XXS = 18, "iq3_xxs", 256, 98;
    IQ1S = 19, "iq1_s", 256, 50;
    IQ4NL = 20, "iq4_nl", 32, 18;
    IQ3S = 21, "iq3_s", 256, 110;
    IQ2S = 22, "iq2_s", 256, 82;
    IQ4XS = 23, "iq4_xs", 256, 136;
    I8 = 24, "i8", 1, 1;
    I16 = 25, "i16", 1, 2;
    I32 = 26, "i32", 1, 4;
    I64 = 27, "i64", 1, 8;
    F64 = 28, "f64", 1, 8;
    IQ1M = 29, "iq1_m", 256, 56;
    BF16 = 30, "bf16", 1, 2;
    TQ1_0 = 34, "tq1_0", 256, 54;
    TQ2_0 = 35, "tq2_0", 256, 66;
    MXFP4 = 39, "mxfp4", 32, 17;
    NVFP4 = 40, "nvfp4", 64, 36;
    Q1_0 = 41, "q1_0", 128, 18;
    Q2_0 = 42, "q2_0", 64, 18;
}

impl TensorType {
    /// The number that names this type in a file.
    pub fn id(self) -> u32 {
        self as u32
    }

    /// Bytes of a row of `ne0` elements; `None` if `ne0` is not a multiple of the block size or
    /// the result does not fit.
    pub fn row_bytes(self, ne0: u64) -> Option<u64> {
        if !ne0.is_multiple_of(self.block_size()) {
            return None;
        }
        (ne0 / self.block_size()).checked_mul(self.type_size())
    }

    /// Whether values are stored in blocks of several, so that rows must be multiples of a block.
    pub fn is_quantized(self) -> bool {
        self.block_size() > 1
    }

    /// Mean bits per element.
    pub fn bits_per_weight(self) -> f64 {
        8.0 * self.type_size() as f64 / self.block_size() as f64
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for TensorType {
    type Err = Error;

    /// Accepts a name in upper or lower case.
    fn from_str(s: &str) -> Result<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|t| t.name().eq_ignore_ascii_case(s))
            .ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|t| t.name()).collect();
                Error::new(
                    ErrorKind::UnsupportedType,
                    format!(
                        "\"{s}\" is not a tensor type, expected one of {}",
                        names.join(", ")
                    ),
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_find_their_type_again() {
        for &t in TensorType::ALL {
            assert_eq!(TensorType::from_id(t.id()), Some(t));
            assert_eq!(t.name().parse::<TensorType>().unwrap(), t);
            assert_eq!(t.name().to_uppercase().parse::<TensorType>().unwrap(), t);
        }
        assert!(TensorType::ALL.windows(2).all(|w| w[0].id() < w[1].id()));
    }

    #[test]
    fn withdrawn_and_unknown_numbers_have_no_type() {
        for id in [4, 5, 31, 32, 33, 36, 37, 38, 43, u32::MAX] {
            assert_eq!(TensorType::from_id(id), None);
        }
    }

    #[test]
    fn row_bytes_needs_whole_blocks_and_does_not_overflow() {
        assert_eq!(TensorType::Q4K.row_bytes(5120), Some(2880));
        assert_eq!(TensorType::Q4K.row_bytes(100), None);
        assert_eq!(TensorType::F32.row_bytes(100), Some(400));
        assert_eq!(TensorType::F32.row_bytes(u64::MAX), None);
    }
}
