//! Where Rust ends: errors become codes, their text is kept for the thread, and panics go no further.

use crate::status::pixtral_status;
use pixtral::{Error, ErrorKind, Result};
use std::{
    any::Any,
    cell::RefCell,
    ffi::{CString, c_char},
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Runs the body of a function that C calls.
pub(crate) fn boundary(body: impl FnOnce() -> Result<()>) -> pixtral_status {
    keep_quiet();
    let e = match panic::catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return pixtral_status::OK,
        Ok(Err(e)) => e,
        Err(payload) => Error::new(ErrorKind::Internal, explain(&*payload)),
    };
    remember(e.message());
    e.kind().into()
}

/// Runs the body of a function that can only fail by a panic, which gives the default.
pub(crate) fn infallible<T: Default>(body: impl FnOnce() -> T) -> T {
    let mut value = T::default();
    boundary(|| {
        value = body();
        Ok(())
    });
    value
}

fn explain(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    format!(
        "a bug in pixtral stopped this call, please report it: {}",
        text.unwrap_or("no message")
    )
}

fn remember(message: &str) {
    let text = CString::new(message.replace('\0', "\u{fffd}")).unwrap_or_default();
    // A thread that is ending has no place for it any more.
    _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = text);
}

/// Keeps panics from standard error: they are reported to the caller. The hook is the library's own,
/// not the process's, since each copy of the library has a Rust runtime in it that nobody else sees.
fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // In the crate's own tests the runtime is the tests'.
        if !cfg!(test) {
            panic::set_hook(Box::new(|_| {}));
        }
    });
}

/// The sentence that explains this thread's last failed call: names the file, field or tensor, what was
/// expected, and what to do. Never NULL; empty before the first failure. NUL-terminated UTF-8 that
/// belongs to the library and is valid until another call of this thread fails.
#[unsafe(no_mangle)]
pub extern "C" fn pixtral_last_error() -> *const c_char {
    LAST_ERROR
        .try_with(|last| last.borrow().as_ptr())
        .unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{ffi::CStr, thread};

    fn last_error() -> String {
        // SAFETY: the text is NUL-terminated and nothing fails before it is copied.
        let text = unsafe { CStr::from_ptr(pixtral_last_error()) };
        text.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_is_a_status_with_its_message() {
        let place = 7;
        assert_eq!(
            boundary(|| panic!("no room at {place}")),
            pixtral_status::INTERNAL
        );
        assert!(last_error().ends_with("please report it: no room at 7"));
        assert_eq!(boundary(|| panic!("plain")), pixtral_status::INTERNAL);
        assert!(last_error().ends_with("report it: plain"));
        assert_eq!(infallible::<u32>(|| panic!("counted")), 0);
    }

    #[test]
    fn each_thread_has_its_own_last_error() {
        let fail = |text: &str| boundary(|| Err(Error::new(ErrorKind::NotFound, text)));
        assert_eq!(fail("mine\0x"), pixtral_status::NOT_FOUND);
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(last_error(), "");
                fail("another's");
            });
        });
        assert_eq!(last_error(), "mine\u{fffd}x");
        assert_eq!(boundary(|| Ok(())), pixtral_status::OK);
        assert_eq!(last_error(), "mine\u{fffd}x");
    }
}
