//! Catches ggml's log so that nothing is printed unasked: the last error text is kept and becomes
//! part of the error that the failing call returns.

use ggml_sys as sys;
use std::{
    ffi::{CStr, c_char, c_void},
    sync::{Mutex, Once, PoisonError},
};

static LAST_ERROR: Mutex<String> = Mutex::new(String::new());

pub(super) unsafe extern "C" fn record(
    level: sys::ggml_log_level,
    text: *const c_char,
    _: *mut c_void,
) {
    if level != sys::GGML_LOG_LEVEL_ERROR || text.is_null() {
        return;
    }
    // SAFETY: ggml passes a NUL-terminated text that lives for the duration of the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    *LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner) = text.trim().to_owned();
}

/// Routes ggml's log here. Called before the first use of any backend.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: `record` has the expected signature, needs no user data and lives for ever.
        unsafe { sys::ggml_log_set(Some(record), std::ptr::null_mut()) }
    });
}

/// `what`, followed by ggml's own last words about it if there are any. Clears them.
pub(super) fn explain(what: &str) -> String {
    let mut last = LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {}", std::mem::take(&mut *last))
    }
}
