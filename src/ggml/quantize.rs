//! Converting rows between f32 and the storage types, by the kernels of `ggml-sys` or of ggml.

use super::{Type, cpu_variant, log};
use crate::{Error, ErrorKind, Result};
use ggml_sys as sys;

/// Quantises whole rows: `src` holds rows of `row_len` values, `dst` receives them as `ty`.
///
/// `dst` must be exactly as long as those rows need. Rows are independent, so callers may split
/// the work over threads at will and get the same bytes.
pub fn quantize_rows(ty: Type, src: &[f32], row_len: usize, dst: &mut [u8]) -> Result<()> {
    let n_rows = check(ty, src.len(), row_len, dst.len())?;
    // They depend on the processor, and a mistake in the choice is to be an error.
    cpu_variant()?;
    if sys::quantize::quantize(ty.0, src, dst) {
        return Ok(());
    }
    // SAFETY: the type is one of ggml's, needs no importance matrix (checked), and the lengths of
    // both slices were checked against it.
    let written = unsafe {
        sys::ggml_quantize_chunk(
            ty.0,
            src.as_ptr(),
            dst.as_mut_ptr().cast(),
            0,
            n_rows as i64,
            row_len as i64,
            std::ptr::null(),
        )
    };
    if written != dst.len() {
        return Err(Error::new(
            ErrorKind::Backend,
            log::explain("quantising failed"),
        ));
    }
    Ok(())
}

/// The reverse of [`quantize_rows`]: the values that `src`, rows of type `ty`, stands for.
pub fn dequantize_rows(ty: Type, src: &[u8], row_len: usize, dst: &mut [f32]) -> Result<()> {
    check(ty, dst.len(), row_len, src.len())?;
    if ty == Type::F32 {
        for (out, bytes) in dst.iter_mut().zip(src.as_chunks::<4>().0) {
            *out = f32::from_le_bytes(*bytes);
        }
        return Ok(());
    }
    // SAFETY: the table has an entry for every type; the lengths were checked against it.
    unsafe {
        let to_float = (*sys::ggml_get_type_traits(ty.0)).to_float.ok_or_else(|| {
            Error::new(
                ErrorKind::UnsupportedType,
                "this type cannot be converted to f32",
            )
        })?;
        to_float(src.as_ptr().cast(), dst.as_mut_ptr(), dst.len() as i64);
    }
    Ok(())
}

/// Checks that `values` are whole rows that take `bytes` bytes as `ty`; returns their number.
fn check(ty: Type, values: usize, row_len: usize, bytes: usize) -> Result<usize> {
    // SAFETY: reads a constant of the type.
    if unsafe { sys::ggml_quantize_requires_imatrix(ty.0) } {
        return Err(Error::new(
            ErrorKind::UnsupportedType,
            "this type needs an importance matrix",
        ));
    }
    if row_len == 0
        || !row_len.is_multiple_of(ty.block_size())
        || !values.is_multiple_of(row_len)
        || values / row_len * ty.row_bytes(row_len) != bytes
    {
        return Err(Error::new(
            ErrorKind::Internal,
            format!("{values} values in rows of {row_len} do not make {bytes} bytes"),
        ));
    }
    Ok(values / row_len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::TensorType;

    #[test]
    fn rows_survive_the_round_trip_within_the_type_s_precision() {
        let row_len = 256;
        let src: Vec<f32> = (0..2 * row_len)
            .map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0)
            .collect();
        for (name, bound) in [
            ("f32", 0.0),
            ("f16", 1e-3),
            ("bf16", 5e-3),
            ("q8_0", 5e-3),
            ("q6_k", 0.02),
            ("q5_k", 0.05),
            ("q4_k", 0.1),
            ("q4_0", 0.12),
            ("iq4_nl", 0.12),
            ("iq4_xs", 0.12),
            ("q3_k", 0.2),
            ("q2_k", 0.4),
        ] {
            let ty: Type = name.parse::<TensorType>().unwrap().into();
            let mut packed = vec![0; 2 * ty.row_bytes(row_len)];
            quantize_rows(ty, &src, row_len, &mut packed).unwrap();
            let mut back = vec![0.0; src.len()];
            dequantize_rows(ty, &packed, row_len, &mut back).unwrap();
            let error = src
                .iter()
                .zip(&back)
                .map(|(a, b)| (a - b).powi(2))
                .sum::<f32>();
            let norm = src.iter().map(|a| a * a).sum::<f32>();
            assert!(
                (error / norm).sqrt() <= bound,
                "{name}: {}",
                (error / norm).sqrt()
            );
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let ty: Type = "q4_k".parse::<TensorType>().unwrap().into();
        let mut out = vec![0; 143];
        assert!(quantize_rows(ty, &[0.0; 256], 256, &mut out).is_err());
        assert!(quantize_rows(ty, &[0.0; 128], 128, &mut out).is_err());
    }
}
