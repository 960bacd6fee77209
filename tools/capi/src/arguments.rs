//! What comes from C, checked: pointers that may be NULL, texts, bytes and lists; and what goes there.

use crate::{boundary::infallible, status::invalid};
use pixtral::{Error, ErrorKind, Result};
use std::{
    ffi::{CStr, CString, c_char},
    slice,
};

/// Length that stands for "up to the first NUL" (PIXTRAL_NUL_TERMINATED in the header).
pub(crate) const NUL_TERMINATED: usize = usize::MAX;

/// A text in a list: UTF-8 of `len` bytes, or up to the first NUL if `len` is PIXTRAL_NUL_TERMINATED.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pixtral_str {
    /// The bytes.
    pub data: *const c_char,
    /// Their number.
    pub len: usize,
}

/// What `ptr` points at, called `name` in errors.
///
/// # Safety
/// `ptr` is NULL or points at a `T` that lives and is not changed for `'a`.
pub(crate) unsafe fn borrow<'a, T>(ptr: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: as the caller promises.
    unsafe { ptr.as_ref() }.ok_or_else(|| null(name))
}

/// The place `ptr` for a result, called `name` in errors.
///
/// # Safety
/// `ptr` is NULL or points at room for a `T` that is nobody else's for `'a`, holding a valid value.
pub(crate) unsafe fn place<'a, T>(ptr: *mut T, name: &str) -> Result<&'a mut T> {
    // SAFETY: as the caller promises.
    unsafe { ptr.as_mut() }.ok_or_else(|| null(name))
}

/// The place for a handle, which holds NULL until the handle is there.
///
/// # Safety
/// As for [`place`].
pub(crate) unsafe fn handle_place<'a, T>(ptr: *mut *mut T) -> Result<&'a mut *mut T> {
    // SAFETY: as the caller promises.
    let place = unsafe { place(ptr, "the place for the result") }?;
    *place = std::ptr::null_mut();
    Ok(place)
}

fn null(name: &str) -> Error {
    invalid(format!("{name} is NULL"))
}

/// Frees what a handle owns; NULL is nothing.
///
/// # Safety
/// `ptr` is NULL or came from `Box::into_raw` and was not freed.
pub(crate) unsafe fn free<T>(ptr: *mut T) {
    if !ptr.is_null() {
        // SAFETY: as the caller promises.
        let value = unsafe { Box::from_raw(ptr) };
        infallible(|| drop(value));
    }
}

/// The `len` items at `data`, called `name` in errors.
///
/// # Safety
/// `data` is NULL or points at `len` items that live and are not changed for `'a`.
pub(crate) unsafe fn list<'a, T>(data: *const T, len: usize, name: &str) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(null(name));
    }
    if len > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(invalid(format!("{name} cannot have {len} items")));
    }
    // SAFETY: not NULL, of a length that can exist; the rest is as the caller promises.
    Ok(unsafe { slice::from_raw_parts(data, len) })
}

/// The text at `data`, called `name` in errors.
///
/// # Safety
/// As for [`list`], or `len` is [`NUL_TERMINATED`] and `data` NULL or NUL-terminated.
pub(crate) unsafe fn text<'a>(data: *const c_char, len: usize, name: &str) -> Result<&'a str> {
    if data.is_null() {
        return Err(null(name));
    }
    let bytes = match len {
        // SAFETY: as the caller promises.
        NUL_TERMINATED => unsafe { CStr::from_ptr(data) }.to_bytes(),
        // SAFETY: as the caller promises.
        len => unsafe { list(data.cast::<u8>(), len, name) }?,
    };
    str::from_utf8(bytes).map_err(|e| {
        let at = e.valid_up_to();
        Error::new(
            ErrorKind::InvalidUtf8,
            format!("{name} is not UTF-8: see byte {at}"),
        )
        .with_source(e)
    })
}

/// As [`text`], but NULL is no text.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn optional_text<'a>(
    data: *const c_char,
    len: usize,
    name: &str,
) -> Result<Option<&'a str>> {
    match data.is_null() {
        true => Ok(None),
        // SAFETY: as the caller promises.
        false => unsafe { text(data, len, name) }.map(Some),
    }
}

/// A list of texts, called `name` in errors.
///
/// # Safety
/// As for [`list`] and, for each item, [`text`].
pub(crate) unsafe fn texts<'a>(
    data: *const pixtral_str,
    len: usize,
    name: &str,
) -> Result<Vec<&'a str>> {
    // SAFETY: as the caller promises.
    let items = unsafe { list(data, len, name) }?;
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        // SAFETY: as the caller promises.
        texts.push(unsafe { text(item.data, item.len, name) }?);
    }
    Ok(texts)
}

/// Hands a text over to C, which frees it with [`pixtral_string_free`].
pub(crate) fn give(text: String) -> Result<*mut c_char> {
    CString::new(text)
        .map(CString::into_raw)
        .map_err(|e| Error::new(ErrorKind::Internal, "a text contains a NUL byte").with_source(e))
}

/// Frees a text that the library gave away, as those functions say that do so. NULL is nothing. Any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: it came from `give` and was not freed, as the caller promises.
        infallible(|| drop(unsafe { CString::from_raw(text) }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_bad_utf8_are_errors_that_name_the_argument() {
        // SAFETY: NULL, and arrays of the length that is said.
        unsafe {
            let e = text(std::ptr::null(), 3, "path").unwrap_err();
            assert_eq!(
                (e.kind(), e.message()),
                (ErrorKind::InvalidArgument, "path is NULL")
            );
            let e = text(c"a\xff".as_ptr(), NUL_TERMINATED, "path").unwrap_err();
            assert_eq!(e.kind(), ErrorKind::InvalidUtf8);
            assert!(e.message().contains("byte 1"), "{e}");
            let half = c"\xc3\xa9";
            assert_eq!(text(half.as_ptr(), 2, "").unwrap(), "é");
            assert!(text(half.as_ptr(), 1, "").is_err());
            let e = list(&0u32, usize::MAX / 2, "tokens").unwrap_err();
            assert!(e.message().starts_with("tokens cannot have"), "{e}");
            assert!(list::<u8>(std::ptr::null(), 0, "").unwrap().is_empty());
        }
    }
}
