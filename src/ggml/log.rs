//! Catches ggml's log so that nothing is printed unasked: the last error text is kept and becomes
//! part of the error that the failing call returns, and whoever asked for it hears everything.

use ggml_sys as sys;
use std::{
    ffi::{CStr, c_char, c_void},
    sync::{Arc, Mutex, Once, PoisonError, RwLock},
};

/// How grave a message of ggml is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For whoever works on ggml.
    Debug,
    /// What happens.
    Info,
    /// What may be wrong.
    Warn,
    /// What went wrong.
    Error,
}

/// Hears ggml's messages, one line each, on whatever thread they come up.
pub type LogSink = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

static LAST_ERROR: Mutex<String> = Mutex::new(String::new());
static SINK: RwLock<Option<LogSink>> = RwLock::new(None);

/// Makes `sink` hear ggml's messages in the place of the one before; there is none at first.
pub fn set_log_sink(sink: Option<LogSink>) {
    install();
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = sink;
}

pub(super) unsafe extern "C" fn record(
    level: sys::ggml_log_level,
    text: *const c_char,
    _: *mut c_void,
) {
    if text.is_null() {
        return;
    }
    // SAFETY: ggml passes a NUL-terminated text that lives for the duration of the call.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let text = text.trim();
    let level = match level {
        sys::GGML_LOG_LEVEL_ERROR => LogLevel::Error,
        sys::GGML_LOG_LEVEL_WARN => LogLevel::Warn,
        sys::GGML_LOG_LEVEL_DEBUG => LogLevel::Debug,
        _ => LogLevel::Info,
    };
    if level == LogLevel::Error {
        *LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner) = text.to_owned();
    }
    // The lock is let go first: a sink may set another.
    let sink = SINK.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(sink) = sink.filter(|_| !text.is_empty()) {
        sink(level, text);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_hears_each_message_with_its_level_and_no_other_does() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        set_log_sink(Some(Arc::new(move |level, text: &str| {
            hears.lock().unwrap().push((level, text.to_owned()));
        })));
        let say = |level, text: &CStr| {
            // SAFETY: the text is NUL-terminated and outlives the call.
            unsafe { record(level, text.as_ptr(), std::ptr::null_mut()) }
        };
        say(sys::GGML_LOG_LEVEL_WARN, c"log test: careful\n");
        say(sys::GGML_LOG_LEVEL_CONT, c"\n");
        set_log_sink(None);
        say(sys::GGML_LOG_LEVEL_WARN, c"log test: unheard");
        let mut heard = heard.lock().unwrap();
        // Other tests may make ggml say something meanwhile.
        heard.retain(|(_, text)| text.starts_with("log test"));
        assert_eq!(*heard, [(LogLevel::Warn, "log test: careful".to_owned())]);
    }
}
