//! Quantising by this package's own kernels (`shim/quantize`), which give the
//! same bytes as ggml's, many times sooner. Knows nothing of rows and threads.

use std::ffi::c_void;

use crate::{ggml_blck_size, ggml_row_size, ggml_type};

unsafe extern "C" {
    /// The function of `shim/quantize/quantize.h`.
    fn ggml_sys_quantize(ty: ggml_type, src: *const f32, dst: *mut c_void, n: i64) -> bool;
}

/// Writes `src` to `dst` as blocks of `ty`, the same bytes as
/// [`ggml_quantize_chunk`](crate::ggml_quantize_chunk) without an importance
/// matrix. Returns whether it did: it leaves types other than q2_K to q6_K and
/// q8_0, and all types on processors without AVX2, to ggml.
///
/// # Panics
/// If the values are not whole blocks, or `dst` is not as long as they need.
pub fn quantize(ty: ggml_type, src: &[f32], dst: &mut [u8]) -> bool {
    // SAFETY: both read constants of the type.
    let n_bytes = unsafe {
        let n_values = i64::try_from(src.len()).expect("a slice is shorter than that");
        assert_eq!(n_values % ggml_blck_size(ty), 0, "values in whole blocks");
        ggml_row_size(ty, n_values)
    };
    assert_eq!(dst.len(), n_bytes, "bytes for {} values", src.len());
    // SAFETY: `src` holds whole blocks and `dst` has room for them.
    unsafe { ggml_sys_quantize(ty, src.as_ptr(), dst.as_mut_ptr().cast(), src.len() as i64) }
}
