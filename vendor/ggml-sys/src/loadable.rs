//! What the library of a loadable backend shows to the program that loads it. Such a library
//! carries a copy of ggml's base of its own, so nothing has to be resolved from the program;
//! the two share only the structs behind the pointers that they pass, and must therefore be of
//! one [`BUILD`](crate::BUILD).

use crate::{ggml_backend_reg_t, ggml_log_callback, ggml_log_set};
use std::ffi::{c_char, c_void};

unsafe extern "C" {
    /// The CUDA backend, from ggml-cuda.h.
    fn ggml_backend_cuda_reg() -> ggml_backend_reg_t;
}

/// The backend, under the name that `ggml_backend_load` looks for.
#[unsafe(no_mangle)]
pub extern "C" fn ggml_backend_init() -> ggml_backend_reg_t {
    // SAFETY: takes nothing; makes the backend at the first call and returns it at all.
    unsafe { ggml_backend_cuda_reg() }
}

/// This library's [`BUILD`](crate::BUILD), ending in NUL.
#[unsafe(no_mangle)]
pub extern "C" fn pixtral_backend_build() -> *const c_char {
    concat!(env!("GGML_SYS_BUILD"), "\0").as_ptr().cast()
}

/// Sends the log of this library's ggml to `callback`.
///
/// # Safety
///
/// As for `ggml_log_set`: the callback must accept `data` for as long as the library is loaded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_backend_log_set(callback: ggml_log_callback, data: *mut c_void) {
    // SAFETY: the caller's promise is that of the function called.
    unsafe { ggml_log_set(callback, data) }
}
