//! The numbers that products of matrices are tested with.

use std::ffi::c_void;
use std::ptr;

use ggml_sys::*;

/// Uniform in [-1, 1), the same on every run (a linear congruential generator
/// with Knuth's constants).
pub fn noise(n: usize) -> Vec<f32> {
    let mut state = 1u64;
    (0..n)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

pub fn quantise(ty: ggml_type, values: &[f32], k: usize) -> Vec<u8> {
    let rows = values.len() / k;
    // SAFETY: the output has room for the rows, whose length is a multiple of
    // the block size.
    unsafe {
        let mut out = vec![0u8; rows * ggml_row_size(ty, k as i64)];
        let to = out.as_mut_ptr().cast::<c_void>();
        ggml_quantize_chunk(
            ty,
            values.as_ptr(),
            to,
            0,
            rows as i64,
            k as i64,
            ptr::null(),
        );
        out
    }
}

pub fn dequantise(ty: ggml_type, bytes: &[u8], n: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; n];
    if ty == GGML_TYPE_F32 {
        let chunks = bytes.chunks_exact(4);
        return chunks
            .map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
    }
    // SAFETY: the traits are static; the input holds n values of the type and
    // the output has room for them.
    unsafe {
        let to_float = (*ggml_get_type_traits(ty))
            .to_float
            .expect("the type has a decoder");
        to_float(bytes.as_ptr().cast(), out.as_mut_ptr(), n as i64);
    }
    out
}

/// For each column and each row: the sum of the products, and of their absolute
/// values, against which an error is to be judged.
pub fn naive_product(weights: &[f32], activations: &[f32], k: usize) -> Vec<(f64, f64)> {
    let dot = |row: &[f32], column: &[f32]| {
        let products = row
            .iter()
            .zip(column)
            .map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()))
    };
    let columns = activations.chunks_exact(k);
    columns
        .flat_map(|column| weights.chunks_exact(k).map(move |row| dot(row, column)))
        .collect()
}
