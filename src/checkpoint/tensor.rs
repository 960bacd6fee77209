//! A tensor of a checkpoint's files: rows of mapped bytes, turned into canonical order and `f32`
//! as they are read. Knows nothing of names and configuration.

use super::names::RotaryHeads;
use super::shard::Shard;
use super::source::{Dtype, TensorRows, check_rows};
use crate::Result;
use crate::gguf::Advice;
use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use std::ops::Range;

/// A tensor in a mapped safetensors file.
pub struct SourceTensor<'a> {
    pub(super) shard: &'a Shard,
    pub(super) dtype: Dtype,
    pub(super) row_len: usize,
    /// Its bytes within the shard's file.
    pub(super) bytes: Range<usize>,
    pub(super) heads: Option<RotaryHeads>,
}

impl SourceTensor<'_> {
    /// The stored bytes of canonical rows `rows`, little endian, without a copy: `None` where the
    /// file keeps these rows in another order, or if they are out of range.
    pub fn stored_rows(&self, rows: Range<u64>) -> Option<&[u8]> {
        if self.heads.is_some() || rows.end > self.n_rows() {
            return None;
        }
        let row_bytes = self.row_bytes();
        self.data()
            .get(rows.start as usize * row_bytes..rows.end as usize * row_bytes)
    }

    fn data(&self) -> &[u8] {
        &self.shard.mapping.bytes()[self.bytes.clone()]
    }

    fn row_bytes(&self) -> usize {
        self.row_len * self.dtype.size()
    }

    fn advise(&self, rows: Range<u64>, advice: Advice) {
        let rows = match self.heads {
            Some(heads) => heads.whole_heads(rows),
            None => rows,
        };
        let row_bytes = self.row_bytes() as u64;
        let (start, end) = (self.bytes.start as u64, self.bytes.end as u64);
        let at = |row: u64| start.saturating_add(row.saturating_mul(row_bytes)).min(end);
        self.shard
            .mapping
            .advise(at(rows.start)..at(rows.end), advice);
    }
}

impl TensorRows for SourceTensor<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn n_rows(&self) -> u64 {
        (self.bytes.len() / self.row_bytes()) as u64
    }

    fn row_len(&self) -> usize {
        self.row_len
    }

    fn read_rows(&self, rows: Range<u64>, out: &mut [f32]) -> Result<()> {
        check_rows(self, &rows, out)?;
        let (data, row_bytes) = (self.data(), self.row_bytes());
        let Some(heads) = self.heads else {
            let bytes = &data[rows.start as usize * row_bytes..rows.end as usize * row_bytes];
            to_f32(self.dtype, bytes, out);
            return Ok(());
        };
        for (row, out) in rows.zip(out.chunks_exact_mut(self.row_len)) {
            let start = heads.source_row(row) as usize * row_bytes;
            to_f32(self.dtype, &data[start..start + row_bytes], out);
        }
        Ok(())
    }

    fn will_need(&self, rows: Range<u64>) {
        self.advise(rows, Advice::WillNeed);
    }

    fn release(&self, rows: Range<u64>) {
        self.advise(rows, Advice::DontNeed);
    }
}

/// Converts little-endian values of `dtype`, of whatever alignment.
fn to_f32(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::BF16 => {
            for (out, b) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                *out = f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16);
            }
        }
        Dtype::F32 => {
            for (out, b) in out.iter_mut().zip(bytes.chunks_exact(4)) {
                *out = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            }
        }
        Dtype::F16 => {
            // By way of an aligned block, since the conversion of slices uses the CPU's own
            // instruction and that of single values asks for it each time.
            let mut block = [0u16; 512];
            for (out, bytes) in out
                .chunks_mut(block.len())
                .zip(bytes.chunks(2 * block.len()))
            {
                let block = &mut block[..out.len()];
                for (half, b) in block.iter_mut().zip(bytes.chunks_exact(2)) {
                    *half = u16::from_le_bytes([b[0], b[1]]);
                }
                let block: &[f16] = block.reinterpret_cast();
                block.convert_to_f32_slice(out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn every_dtype_is_converted_exactly_also_when_unaligned() {
        let values: Vec<f32> = (0..1300).map(|i| (i as f32 - 600.0) / 64.0).collect();
        let encode = |dtype, v: &f32| match dtype {
            Dtype::BF16 => bf16::from_f32(*v).to_le_bytes().to_vec(),
            Dtype::F16 => f16::from_f32(*v).to_le_bytes().to_vec(),
            Dtype::F32 => v.to_le_bytes().to_vec(),
        };
        for dtype in [Dtype::BF16, Dtype::F16, Dtype::F32] {
            let mut bytes = vec![0u8];
            bytes.extend(values.iter().flat_map(|v| encode(dtype, v)));
            let mut out = vec![0.0; values.len()];
            to_f32(dtype, &bytes[1..], &mut out);
            let expected: Vec<f32> = match dtype {
                Dtype::BF16 => values.iter().map(|v| bf16::from_f32(*v).to_f32()).collect(),
                _ => values.clone(),
            };
            assert_eq!(out, expected, "{dtype}");
        }
    }
}
