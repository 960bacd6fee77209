//! Which type each tensor of a mixture gets, and what stands in for a type whose blocks do not fit.
//! Pure functions of a tensor's role and place; nothing is read.
//!
//! The choices are those that llama.cpp's `llama-quant.cpp` makes without an importance matrix for
//! its Q2_K, Q3_K_M, Q4_K_M, Q5_K_M, Q6_K, Q4_0, Q5_0, IQ4_NL and IQ4_XS, for a model whose query
//! heads share key-value heads by four, as Pixtral's do. `docs/FORMAT.md` shows them as a table.

use crate::config::Role;
use crate::gguf::TensorType::{self, *};

/// The type of a decoder's matrix in the mixture called `base`. `layer` is its layer out of
/// `n_layers`; embedding and output matrix have none.
pub(super) fn mixed(base: TensorType, role: Role, layer: Option<u32>, n_layers: u32) -> TensorType {
    let layer = layer.unwrap_or(0);
    match (base, role) {
        (F32 | F16 | BF16 | Q8_0, _) => base,
        (_, Role::Output) => Q6K,
        (Q4K | Q5K, Role::AttnV | Role::FfnDown) if more_bits(layer, n_layers) => Q6K,
        (IQ4NL | IQ4XS, Role::AttnV) => Q5K,
        (IQ4NL | IQ4XS, Role::FfnDown) if layer < n_layers / 8 => Q5K,
        (Q3K, Role::AttnV) if layer < 2 => Q5K,
        (Q3K, Role::FfnDown) if layer < n_layers / 16 => Q5K,
        (Q3K, Role::AttnV | Role::FfnDown | Role::AttnOutput) => Q4K,
        (Q2K, Role::AttnV) => Q4K,
        (Q2K, Role::FfnDown | Role::AttnOutput) => Q3K,
        _ => base,
    }
}

/// Whether layer `i` of `n` is among the more sensitive: the first and the last eighth, and every
/// third between.
fn more_bits(i: u32, n: u32) -> bool {
    i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2
}

/// `ty`, or what stands in for it where rows of `row_len` values are not whole blocks of it: a type
/// of smaller blocks and at least its precision.
pub(super) fn fitting(ty: TensorType, row_len: u64) -> TensorType {
    let mut ty = ty;
    while !row_len.is_multiple_of(ty.block_size()) {
        ty = match ty {
            Q2K | Q3K | IQ4XS => IQ4NL,
            Q4K => Q5_0,
            Q5K | Q6K => Q8_0,
            _ => F16,
        };
    }
    ty
}

/// The number by which llama.cpp knows a file of mixture `base` (`llama_ftype` in its llama.h).
pub(super) fn file_type(base: TensorType) -> Option<u32> {
    Some(match base {
        F32 => 0,
        F16 => 1,
        Q4_0 => 2,
        Q8_0 => 7,
        Q5_0 => 8,
        Q2K => 10,
        Q3K => 12,
        Q4K => 15,
        Q5K => 17,
        Q6K => 18,
        IQ4NL => 25,
        IQ4XS => 30,
        BF16 => 32,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::TYPES;

    #[test]
    fn half_of_the_sensitive_layers_get_more_bits() {
        let chosen: Vec<u32> = (0..40).filter(|&i| more_bits(i, 40)).collect();
        let expected = [
            0, 1, 2, 3, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 35, 36, 37, 38, 39,
        ];
        assert_eq!(chosen, expected);
    }

    #[test]
    fn a_mixture_is_never_coarser_than_its_name() {
        let roles = [
            Role::AttnQ,
            Role::AttnK,
            Role::AttnV,
            Role::AttnOutput,
            Role::FfnGate,
            Role::FfnUp,
            Role::FfnDown,
            Role::TokenEmbedding,
            Role::Output,
        ];
        for base in TYPES {
            for role in roles {
                for layer in 0..40 {
                    let ty = mixed(base, role, Some(layer), 40);
                    assert!(
                        ty.bits_per_weight() >= base.bits_per_weight(),
                        "{base} {role:?} {layer}: {ty}"
                    );
                }
            }
        }
        assert_eq!(mixed(Q4K, Role::AttnV, Some(5), 40), Q4K);
        assert_eq!(mixed(Q4K, Role::AttnV, Some(7), 40), Q6K);
        assert_eq!(mixed(Q3K, Role::AttnV, Some(1), 40), Q5K);
        assert_eq!(mixed(Q2K, Role::FfnDown, Some(1), 40), Q3K);
        assert_eq!(mixed(Q4_0, Role::FfnDown, Some(0), 40), Q4_0);
        assert_eq!(mixed(Q4_0, Role::Output, None, 40), Q6K);
    }

    #[test]
    fn what_stands_in_fits_and_is_at_least_as_precise() {
        for ty in TYPES {
            for row_len in [16, 96, 256, 5120] {
                let used = fitting(ty, row_len);
                assert!(row_len.is_multiple_of(used.block_size()));
                assert!(used.bits_per_weight() >= ty.bits_per_weight());
                assert!(used == ty || !row_len.is_multiple_of(ty.block_size()));
            }
            assert!(file_type(ty).is_some(), "{ty}");
        }
    }
}
