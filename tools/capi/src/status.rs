//! Error codes: the library's own numbers, and zero for success.

use pixtral::{Error, ErrorKind};
use std::ffi::c_char;

/// Result of most functions. The numbers never change; new ones may be added.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pixtral_status {
    /// Done.
    OK = 0,
    /// An argument or option has no meaning here, or is NULL.
    INVALID_ARGUMENT = 1,
    /// Reading or writing failed for a reason that has no code of its own.
    IO = 2,
    /// A file or folder, or what was asked for by name, does not exist.
    NOT_FOUND = 3,
    /// The operating system refused access.
    PERMISSION_DENIED = 4,
    /// The disk is full, or would be.
    DISK_FULL = 5,
    /// A GGUF or session file is damaged, truncated or no such file at all.
    INVALID_FILE = 6,
    /// A sound file of a model that this library does not run.
    UNSUPPORTED_MODEL = 7,
    /// A checkpoint is incomplete or contradicts itself.
    INVALID_CHECKPOINT = 8,
    /// A tensor has the wrong shape, type or values.
    INVALID_TENSOR = 9,
    /// A picture cannot be decoded.
    INVALID_IMAGE = 10,
    /// A picture is beyond the decode limits.
    IMAGE_TOO_LARGE = 11,
    /// A tokenizer file is damaged or of an unknown kind.
    INVALID_TOKENIZER = 12,
    /// The conversation does not fit into the context.
    CONTEXT_FULL = 13,
    /// Memory could not be allocated.
    OUT_OF_MEMORY = 14,
    /// The caller cancelled the work.
    CANCELLED = 15,
    /// ggml reported a failure.
    BACKEND = 16,
    /// A tensor type that is unknown or cannot be used here.
    UNSUPPORTED_TYPE = 17,
    /// Bytes that should be UTF-8 are not.
    INVALID_UTF8 = 18,
    /// A broken promise inside the library: please report it.
    INTERNAL = 19,
    /// A checksum does not match its bytes.
    CHECKSUM_MISMATCH = 20,
    /// A device, or the connection to it, is gone; the conversation can go on without it.
    DEVICE_LOST = 21,
    /// Messages in an order or number that the template cannot express.
    INVALID_MESSAGE_STRUCTURE = 40,
    /// An assistant message that the template cannot express.
    INVALID_ASSISTANT_MESSAGE = 41,
    /// A tool call, or the result of one, with a name or id that is not allowed.
    INVALID_FUNCTION_CALL = 42,
    /// A tool declaration that is not allowed.
    INVALID_TOOL = 43,
    /// A tool declaration whose parameters are not a JSON schema.
    INVALID_TOOL_SCHEMA = 44,
    /// A request with a missing or mistyped field.
    INVALID_REQUEST = 45,
    /// A value that cannot be used.
    INVALID_VALUE = 46,
}

use pixtral_status as S;

/// Every code with its name as text.
const NAMES: [(pixtral_status, &std::ffi::CStr); 29] = [
    (S::OK, c"ok"),
    (S::INVALID_ARGUMENT, c"invalid argument"),
    (S::IO, c"input or output failed"),
    (S::NOT_FOUND, c"not found"),
    (S::PERMISSION_DENIED, c"permission denied"),
    (S::DISK_FULL, c"disk full"),
    (S::INVALID_FILE, c"invalid file"),
    (S::UNSUPPORTED_MODEL, c"unsupported model"),
    (S::INVALID_CHECKPOINT, c"invalid checkpoint"),
    (S::INVALID_TENSOR, c"invalid tensor"),
    (S::INVALID_IMAGE, c"invalid image"),
    (S::IMAGE_TOO_LARGE, c"image too large"),
    (S::INVALID_TOKENIZER, c"invalid tokenizer"),
    (S::CONTEXT_FULL, c"context full"),
    (S::OUT_OF_MEMORY, c"out of memory"),
    (S::CANCELLED, c"cancelled"),
    (S::BACKEND, c"backend failed"),
    (S::UNSUPPORTED_TYPE, c"unsupported type"),
    (S::INVALID_UTF8, c"invalid UTF-8"),
    (S::INTERNAL, c"internal error"),
    (S::CHECKSUM_MISMATCH, c"checksum mismatch"),
    (S::DEVICE_LOST, c"device lost"),
    (S::INVALID_MESSAGE_STRUCTURE, c"invalid message structure"),
    (S::INVALID_ASSISTANT_MESSAGE, c"invalid assistant message"),
    (S::INVALID_FUNCTION_CALL, c"invalid function call"),
    (S::INVALID_TOOL, c"invalid tool"),
    (S::INVALID_TOOL_SCHEMA, c"invalid tool schema"),
    (S::INVALID_REQUEST, c"invalid request"),
    (S::INVALID_VALUE, c"invalid value"),
];

impl From<ErrorKind> for pixtral_status {
    fn from(kind: ErrorKind) -> Self {
        let known = NAMES
            .iter()
            .find(|(status, _)| *status as i32 == kind.code());
        known.map_or(S::INTERNAL, |(status, _)| *status)
    }
}

/// A bad argument in a sentence.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

/// A code's meaning in a few words of English, such as "context full", for any number. Lives for
/// ever. Any thread. The sentence about a particular failure is pixtral_last_error's.
#[unsafe(no_mangle)]
pub extern "C" fn pixtral_status_name(status: i32) -> *const c_char {
    let known = NAMES.iter().find(|(known, _)| *known as i32 == status);
    known.map_or(c"unknown status", |(_, name)| name).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[test]
    fn every_kind_of_error_has_a_code_of_its_name_and_number() {
        let source = include_str!("../../../src/error.rs");
        let kind = Regex::new(r"(?m)^    (\w+) = (\d+),$").unwrap();
        let mut found = 0;
        for kind in kind.captures_iter(source) {
            let number: i32 = kind[2].parse().unwrap();
            let (status, _) = NAMES
                .iter()
                .find(|(status, _)| *status as i32 == number)
                .unwrap_or_else(|| panic!("{} has no code", &kind[1]));
            let plain = format!("{status:?}").replace('_', "").to_lowercase();
            assert_eq!(plain, kind[1].to_lowercase());
            found += 1;
        }
        assert_eq!(found + 1, NAMES.len());
    }
}
