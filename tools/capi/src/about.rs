//! What this library is and can do, and whom it tells what happens inside.

use crate::{
    arguments::{place, text},
    boundary::{boundary, infallible},
    status::pixtral_status,
};
use pixtral::ggml::{self, LogLevel, cpu_variant};
use std::{
    ffi::{CStr, CString, c_char, c_void},
    sync::Arc,
};

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("the version contains a NUL"),
    };

/// Parts of this interface that a program may want to ask for.
const FEATURES: [&str; 10] = [
    "constraints",
    "embeddings",
    "estimates",
    "load-modes",
    "placement",
    "quantize",
    "session-files",
    "speculation",
    "tools",
    "verify",
];

/// The library's version, such as "0.1.0". Lives for ever. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pixtral_version() -> *const c_char {
    VERSION.as_ptr()
}

/// Whether this library has the named part: "constraints", "embeddings", "estimates", "load-modes",
/// "placement", "quantize", "session-files", "speculation", "tools", "verify". False for names it does not
/// know, so that a program can ask an older library for what came later. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_has_feature(name: *const c_char, name_len: usize) -> bool {
    infallible(|| {
        // SAFETY: as the caller promises.
        let name = unsafe { text(name, name_len, "name") };
        name.is_ok_and(|name| FEATURES.contains(&name))
    })
}

/// Which build of the CPU kernels is used, such as "avx512": the best that the processor runs, unless
/// the environment variable PIXTRAL_CPU named another before the first call. `*name` lives for ever.
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_cpu_variant(name: *mut *const c_char) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises.
        let place = unsafe { place(name, "name") }?;
        static NAME: std::sync::OnceLock<CString> = std::sync::OnceLock::new();
        let variant = cpu_variant()?;
        *place = NAME
            .get_or_init(|| CString::new(variant).unwrap_or_default())
            .as_ptr();
        Ok(())
    })
}

/// How grave a message of the log is.
#[repr(i32)]
#[derive(Clone, Copy)]
pub enum pixtral_log_level {
    /// For whoever works on the library.
    DEBUG = 0,
    /// What happens.
    INFO = 1,
    /// What may be wrong.
    WARN = 2,
    /// What went wrong; the failing call returns an error as well.
    ERROR = 3,
}

/// Hears one message: NUL-terminated UTF-8 without a newline at its end, valid during the call. May be
/// called by any thread, also by several at once, while a function of the library runs.
pub type pixtral_log_callback = Option<
    unsafe extern "C" fn(level: pixtral_log_level, message: *const c_char, user_data: *mut c_void),
>;

/// Makes `callback` hear the log of this copy of the library, in the place of the one before; NULL for
/// none, as at first. The library never writes to standard output or standard error. A message that
/// another thread is delivering at this moment may still reach the callback before. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn pixtral_set_log_callback(
    callback: pixtral_log_callback,
    user_data: *mut c_void,
) -> pixtral_status {
    boundary(|| {
        let listener = callback.map(|callback| Listener {
            callback,
            user_data,
        });
        ggml::set_log_sink(listener.map(|listener| {
            let hear = move |level, text: &str| listener.hear(level, text);
            Arc::new(hear) as ggml::LogSink
        }));
        Ok(())
    })
}

struct Listener {
    callback: unsafe extern "C" fn(pixtral_log_level, *const c_char, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: the pointer is only handed back to the callback, which any thread may call.
unsafe impl Send for Listener {}
// SAFETY: as above.
unsafe impl Sync for Listener {}

impl Listener {
    fn hear(&self, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Debug => pixtral_log_level::DEBUG,
            LogLevel::Info => pixtral_log_level::INFO,
            LogLevel::Warn => pixtral_log_level::WARN,
            LogLevel::Error => pixtral_log_level::ERROR,
        };
        // A text of ggml's ends at its first NUL.
        let message = CString::new(message).unwrap_or_default();
        // SAFETY: the callback is called as its type says, with a text that lives until it returns.
        unsafe { (self.callback)(level, message.as_ptr(), self.user_data) }
    }
}
