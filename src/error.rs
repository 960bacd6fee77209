//! The library's one error type.
//!
//! Every failure is an [`Error`]: a [kind](ErrorKind) with a stable number (the C ABI and exit
//! reports rely on it) and one sentence that names the file, tensor or field, says what was
//! expected and, where there is something to do, what to do. Nothing here knows what failed.

use std::{fmt, io, path::Path};

/// Result of every fallible call in the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as a stable number: values are never reused or renumbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorKind {
    /// An argument or option has no meaning here.
    InvalidArgument = 1,
    /// Reading or writing failed for a reason that has no kind of its own.
    Io = 2,
    /// A file or folder does not exist.
    NotFound = 3,
    /// The operating system refused access.
    PermissionDenied = 4,
    /// The disk is full, or would be.
    DiskFull = 5,
    /// A GGUF file is damaged, truncated or not GGUF at all.
    InvalidFile = 6,
    /// A sound file of a model that this library does not run.
    UnsupportedModel = 7,
    /// A checkpoint (params.json, config.json, safetensors) is incomplete or contradicts itself.
    InvalidCheckpoint = 8,
    /// A tensor has the wrong shape, type or values.
    InvalidTensor = 9,
    /// A picture cannot be decoded.
    InvalidImage = 10,
    /// A picture is beyond the decode limits.
    ImageTooLarge = 11,
    /// A tokenizer file is damaged or of an unknown kind.
    InvalidTokenizer = 12,
    /// The conversation does not fit into the context.
    ContextFull = 13,
    /// Memory could not be allocated.
    OutOfMemory = 14,
    /// The caller cancelled the work.
    Cancelled = 15,
    /// ggml reported a failure.
    Backend = 16,
    /// A tensor type that is unknown or cannot be used here.
    UnsupportedType = 17,
    /// Bytes that should be UTF-8 are not.
    InvalidUtf8 = 18,
    /// A broken promise inside the library: please report it.
    Internal = 19,
    /// A checksum does not match its bytes.
    ChecksumMismatch = 20,
    /// A device, such as a worker on another machine, is gone.
    DeviceLost = 21,
    /// Messages in an order or number that the template cannot express.
    InvalidMessageStructure = 40,
    /// An assistant message that the template cannot express.
    InvalidAssistantMessage = 41,
    /// A tool call, or the result of one, with a name or id that is not allowed.
    InvalidFunctionCall = 42,
    /// A tool declaration that is not allowed.
    InvalidTool = 43,
    /// A tool declaration whose parameters are not a JSON schema.
    InvalidToolSchema = 44,
    /// A request with a missing or mistyped field.
    InvalidRequest = 45,
    /// A value (usually a picture reference) that cannot be used.
    InvalidValue = 46,
}

impl ErrorKind {
    /// The stable number of this kind.
    pub fn code(self) -> i32 {
        self as i32
    }
}

/// A failure: its kind, one clear sentence, and the error beneath it if there is one.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` explained by `message`, one sentence without a final full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// An I/O failure on `path` while trying to `verb` it ("read", "create", …).
    pub fn io(path: impl AsRef<Path>, verb: &str, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
            io::ErrorKind::OutOfMemory => ErrorKind::OutOfMemory,
            _ => ErrorKind::Io,
        };
        let path = path.as_ref().display();
        let message = match kind {
            ErrorKind::NotFound => format!("{path}: no such file or folder"),
            ErrorKind::PermissionDenied => format!("{path}: no permission to {verb} it"),
            ErrorKind::DiskFull => format!("{path}: cannot {verb} it: the disk is full"),
            _ => format!("{path}: cannot {verb} it: {source}"),
        };
        Self::new(kind, message).with_source(source)
    }

    /// The same error with the error that caused it.
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with `context` and a colon before its sentence, e.g. a file name.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stable() {
        assert_eq!(ErrorKind::InvalidArgument.code(), 1);
        assert_eq!(ErrorKind::ContextFull.code(), 13);
        assert_eq!(ErrorKind::ChecksumMismatch.code(), 20);
        assert_eq!(ErrorKind::DeviceLost.code(), 21);
        assert_eq!(ErrorKind::InvalidValue.code(), 46);
    }

    #[test]
    fn io_errors_keep_their_meaning_and_name_the_path() {
        let e = Error::io("x/y", "read", io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(e.kind(), ErrorKind::NotFound);
        assert_eq!(e.message(), "x/y: no such file or folder");
    }
}
