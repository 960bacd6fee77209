//! What the converter reads from: a model's shape, its tokenizer and its tensors row by row,
//! whether they come from files ([`Checkpoint`](super::Checkpoint)) or from a random generator
//! ([`Synthetic`](super::Synthetic)).

use crate::config::{Config, TensorSpec};
use crate::tokenizer::Tokenizer;
use crate::{Error, ErrorKind, Result};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// Where a model's tensors come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// params.json, consolidated.safetensors and tekken.json, as Mistral publishes them.
    Mistral,
    /// config.json, model.safetensors and tokenizer.json, as transformers writes them.
    HuggingFace,
    /// Random weights, made as they are read.
    Synthetic,
}

impl Format {
    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Format::Mistral => "mistral",
            Format::HuggingFace => "huggingface",
            Format::Synthetic => "synthetic",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Mistral => "Mistral",
            Format::HuggingFace => "Hugging Face",
            Format::Synthetic => "synthetic",
        })
    }
}

/// How a source stores a tensor's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// The upper half of a 32-bit float.
    BF16,
    /// IEEE half precision.
    F16,
    /// IEEE single precision.
    F32,
}

impl Dtype {
    /// Bytes per value.
    pub fn size(self) -> usize {
        match self {
            Dtype::BF16 | Dtype::F16 => 2,
            Dtype::F32 => 4,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A model that can be converted.
pub trait TensorSource: Send + Sync {
    /// Where it comes from.
    fn format(&self) -> Format;

    /// Its shape.
    fn config(&self) -> &Config;

    /// SHA-256 of its params.json or config.json, in hexadecimal.
    fn config_sha256(&self) -> &str;

    /// What was found and ignored, a sentence each.
    fn notes(&self) -> &[String];

    /// The files that it reads, which must stay as they are while it is used.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Its tokenizer.
    fn tokenizer(&self) -> Result<Tokenizer>;

    /// The tensor `spec`, one of [`inventory`](crate::config::inventory) of its shape.
    fn tensor<'a>(&'a self, spec: &TensorSpec) -> Result<Box<dyn TensorRows + 'a>>;
}

/// A tensor that is read by rows of `dims[0]` values, in the order of [`TensorSpec::dims`].
///
/// Rows of queries and keys are in canonical (Mistral's, interleaved) order whatever the source.
/// Any number of threads may read at once.
pub trait TensorRows: Send + Sync {
    /// How the source stores it.
    fn dtype(&self) -> Dtype;

    /// Number of rows.
    fn n_rows(&self) -> u64;

    /// Values per row.
    fn row_len(&self) -> usize;

    /// Its size in the source, in bytes.
    fn n_bytes(&self) -> u64 {
        self.n_rows() * self.row_len() as u64 * self.dtype().size() as u64
    }

    /// Reads `rows` into `out`, which holds exactly that many times [`TensorRows::row_len`] values.
    fn read_rows(&self, rows: Range<u64>, out: &mut [f32]) -> Result<()>;

    /// Begins to load `rows`, which will be read soon.
    fn will_need(&self, _rows: Range<u64>) {}

    /// Gives back the memory of `rows`, which will not be read again soon.
    fn release(&self, _rows: Range<u64>) {}
}

/// Checks the arguments of [`TensorRows::read_rows`].
pub(super) fn check_rows(tensor: &dyn TensorRows, rows: &Range<u64>, out: &[f32]) -> Result<()> {
    let fits = rows.start <= rows.end
        && rows.end <= tensor.n_rows()
        && (rows.end - rows.start).checked_mul(tensor.row_len() as u64) == Some(out.len() as u64);
    if fits {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "rows {}..{} of {} with {} values each do not fit a buffer of {} values",
            rows.start,
            rows.end,
            tensor.n_rows(),
            tensor.row_len(),
            out.len()
        ),
    ))
}

/// How many of `values` are infinite or not a number.
pub fn count_non_finite(values: &[f32]) -> usize {
    const EXPONENT: u32 = 0x7f80_0000;
    // Counting in u32 over short runs lets the compiler use whole vectors.
    values
        .chunks(1 << 16)
        .map(|run| {
            let bad = |value: &f32| u32::from(value.to_bits() & EXPONENT == EXPONENT);
            run.iter().map(bad).sum::<u32>() as usize
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_finite_values_are_counted() {
        let mut values = vec![1.0f32; 100_000];
        values[3] = f32::NAN;
        values[99_999] = f32::NEG_INFINITY;
        values[70_000] = f32::INFINITY;
        values[5] = f32::MAX;
        assert_eq!(count_non_finite(&values), 3);
    }
}
