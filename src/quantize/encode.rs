//! Rows of a source to bytes of a type, by all threads at once: read, examined, quantised and
//! measured in pieces that stay in a core's cache. Knows nothing of files and order.

use crate::checkpoint::{TensorRows, count_non_finite};
use crate::ggml::{Type, quantize::*};
use crate::gguf::TensorType;
use crate::{Error, ErrorKind, Result};
use rayon::prelude::*;
use std::ops::{AddAssign, Range};

/// One row in this many is turned back to be compared. For types that are quick to quantise, turning
/// back all rows would take about as long as quantising them.
pub(super) const SAMPLED: u64 = 16;

/// Values that one thread converts at once: 128 KiB as f32.
const PIECE: usize = 32 << 10;

/// The largest number that f16 can hold; all quantised types have scales in f16.
const F16_MAX: f32 = 65504.0;

/// Sums over the sampled rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ErrorSums {
    n_values: u64,
    /// Of the squares of the values.
    values: f64,
    /// Of the squares of their differences to what the type stands for.
    differences: f64,
}

/// Values that cannot be converted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Faults {
    /// NaN or infinite.
    non_finite: u64,
    /// Beyond the range of the type.
    out_of_range: u64,
}

/// A set of threads.
pub(super) struct Encoder {
    /// Rayon's own if absent.
    pool: Option<rayon::ThreadPool>,
}

/// Working memory of one thread.
#[derive(Default)]
struct Scratch {
    values: Vec<f32>,
    row: Vec<f32>,
}

impl Encoder {
    /// `n_threads` threads, or one per processor.
    pub fn new(n_threads: Option<usize>) -> Result<Self> {
        let build = |n| {
            let builder = rayon::ThreadPoolBuilder::new().num_threads(n);
            builder.build().map_err(|e| {
                let what = format!("cannot start {n} threads: {e}");
                Error::new(ErrorKind::InvalidArgument, what)
            })
        };
        let pool = n_threads.map(build).transpose()?;
        Ok(Self { pool })
    }

    /// Converts `rows` of the tensor called `name` to `ty`. `out` has the length that they take.
    ///
    /// # Errors
    /// `InvalidTensor` if some values cannot be converted, with their number in the whole tensor.
    pub fn encode(
        &self,
        name: &str,
        tensor: &dyn TensorRows,
        rows: Range<u64>,
        ty: TensorType,
        out: &mut [u8],
    ) -> Result<ErrorSums> {
        let per_piece = rows_per_piece(tensor.row_len());
        let row_bytes = Type::from(ty).row_bytes(tensor.row_len());
        // In order, so that sums do not depend on the threads' timing.
        let pieces: Vec<(Faults, ErrorSums)> = self.install(|| {
            out.par_chunks_mut(per_piece as usize * row_bytes)
                .enumerate()
                .map_init(Scratch::default, |scratch, (number, out)| {
                    let start = rows.start + number as u64 * per_piece;
                    let rows = start..rows.end.min(start + per_piece);
                    encode_piece(tensor, rows, ty, out, scratch)
                })
                .collect::<Result<_>>()
        })?;
        let mut sums = ErrorSums::default();
        for (faults, errors) in pieces {
            if faults != Faults::default() {
                return Err(self.refusal(name, tensor, ty)?);
            }
            sums += errors;
        }
        Ok(sums)
    }

    /// The error for a tensor with faults somewhere, which says how many there are.
    fn refusal(&self, name: &str, tensor: &dyn TensorRows, ty: TensorType) -> Result<Error> {
        let per_piece = rows_per_piece(tensor.row_len());
        let n_pieces = tensor.n_rows().div_ceil(per_piece);
        let faults = self.install(|| {
            (0..n_pieces)
                .into_par_iter()
                .map_init(Vec::new, |values, number| {
                    let start = number * per_piece;
                    let rows = start..tensor.n_rows().min(start + per_piece);
                    read(tensor, rows.clone(), values)?;
                    tensor.release(rows);
                    Ok::<_, Error>(faults(values, ty))
                })
                .try_reduce(Faults::default, |a, b| {
                    Ok(Faults {
                        non_finite: a.non_finite + b.non_finite,
                        out_of_range: a.out_of_range + b.out_of_range,
                    })
                })
        })?;
        let total = tensor.n_rows() * tensor.row_len() as u64;
        let what = match faults.non_finite {
            0 => format!(
                "tensor {name}: {} of {total} values are beyond ±{F16_MAX}, the range of {ty}: \
                 choose bf16 or f32 for it",
                faults.out_of_range
            ),
            n => format!(
                "tensor {name}: {n} of {total} values are NaN or infinite; the checkpoint is \
                 damaged: download it again"
            ),
        };
        Ok(Error::new(ErrorKind::InvalidTensor, what))
    }

    fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }
}

/// Rows that one thread converts at once.
pub(super) fn rows_per_piece(row_len: usize) -> u64 {
    (PIECE / row_len.max(1)).max(1) as u64
}

fn encode_piece(
    tensor: &dyn TensorRows,
    rows: Range<u64>,
    ty: TensorType,
    out: &mut [u8],
    scratch: &mut Scratch,
) -> Result<(Faults, ErrorSums)> {
    read(tensor, rows.clone(), &mut scratch.values)?;
    let faults = faults(&scratch.values, ty);
    let mut errors = ErrorSums::default();
    if faults == Faults::default() {
        let row_len = tensor.row_len();
        quantize_rows(ty.into(), &scratch.values, row_len, out)?;
        let row_bytes = out.len() / (rows.end - rows.start) as usize;
        let packed = out.chunks_exact(row_bytes);
        scratch.row.resize(row_len, 0.0);
        for ((row, values), packed) in rows.zip(scratch.values.chunks_exact(row_len)).zip(packed) {
            if row.is_multiple_of(SAMPLED) {
                dequantize_rows(ty.into(), packed, row_len, &mut scratch.row)?;
                errors += ErrorSums::of(values, &scratch.row);
            }
        }
    }
    Ok((faults, errors))
}

fn read(tensor: &dyn TensorRows, rows: Range<u64>, values: &mut Vec<f32>) -> Result<()> {
    values.resize((rows.end - rows.start) as usize * tensor.row_len(), 0.0);
    tensor.read_rows(rows, values)
}

fn faults(values: &[f32], ty: TensorType) -> Faults {
    let out_of_range = match ty {
        TensorType::F32 | TensorType::BF16 => 0,
        _ => {
            let beyond = |v: &f32| u32::from(v.is_finite() && v.abs() > F16_MAX);
            values.iter().map(beyond).sum()
        }
    };
    Faults {
        non_finite: count_non_finite(values) as u64,
        out_of_range: out_of_range.into(),
    }
}

impl ErrorSums {
    fn of(values: &[f32], back: &[f32]) -> Self {
        let square = |x: f32| f64::from(x) * f64::from(x);
        Self {
            n_values: values.len() as u64,
            values: values.iter().map(|&v| square(v)).sum(),
            differences: values.iter().zip(back).map(|(v, b)| square(v - b)).sum(),
        }
    }

    /// Root mean square of the differences relative to that of the values; `None` if there are none.
    pub fn relative_rms(&self) -> Option<f64> {
        match (self.n_values, self.values) {
            (0, _) => None,
            // Zeros are kept exactly by every type.
            (_, 0.0) => Some(0.0),
            _ => Some((self.differences / self.values).sqrt()),
        }
    }
}

impl AddAssign for ErrorSums {
    fn add_assign(&mut self, other: Self) {
        self.n_values += other.n_values;
        self.values += other.values;
        self.differences += other.differences;
    }
}
