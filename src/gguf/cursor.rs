//! A reading position in untrusted bytes. Every length is compared with what remains before
//! anything is allocated or sliced; it knows little-endian numbers and strings, nothing else.

use super::MAX_HEADER_BYTES;
use crate::{Error, ErrorKind, Result};

/// Position in the header of a GGUF file, or in the whole of a file of another format.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
    /// Whether the file goes on beyond `bytes`, the largest header accepted.
    cut: bool,
    /// What to do about a file that ends too early.
    advice: &'static str,
}

impl<'a> Cursor<'a> {
    /// At the start of `file`, a whole file.
    pub(super) fn new(file: &'a [u8]) -> Self {
        let bytes = &file[..file.len().min(MAX_HEADER_BYTES)];
        Self {
            bytes,
            pos: 0,
            cut: bytes.len() < file.len(),
            advice: "download or convert it again",
        }
    }

    /// At the start of `bytes`, all that there is; `advice` says what to do if that is too little.
    pub(crate) fn over(bytes: &'a [u8], advice: &'static str) -> Self {
        Self {
            bytes,
            pos: 0,
            cut: false,
            advice,
        }
    }

    /// All bytes that have not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.pos..]
    }

    /// Bytes read so far.
    pub(super) fn pos(&self) -> u64 {
        self.pos as u64
    }

    /// The next `n` bytes. `what` names them in the error.
    pub(crate) fn take(&mut self, n: u64, what: &str) -> Result<&'a [u8]> {
        let taken = usize::try_from(n).ok().and_then(|n| self.rest().get(..n));
        let taken = taken.ok_or_else(|| self.too_long(&format!("{what} of {n} bytes")))?;
        self.pos += taken.len();
        Ok(taken)
    }

    /// Refuses a `count` of things that take at least `min_bytes` each and so cannot all fit.
    pub(super) fn check_count(&self, count: u64, min_bytes: u64, what: &str) -> Result<()> {
        let rest = self.rest().len() as u64;
        match count.checked_mul(min_bytes) {
            Some(n) if n <= rest => Ok(()),
            _ => Err(self.too_long(&format!("{what} with a count of {count}"))),
        }
    }

    /// The next `N` bytes by value.
    pub(crate) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N as u64, what)?);
        Ok(out)
    }

    /// A 32-bit number.
    pub(crate) fn u32(&mut self, what: &str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// A 64-bit number.
    pub(crate) fn u64(&mut self, what: &str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A string: its length in 64 bits, then that many bytes of UTF-8.
    pub(super) fn string(&mut self, what: &str) -> Result<&'a str> {
        let length = self.u64(what)?;
        let raw = self.take(length, what)?;
        std::str::from_utf8(raw).map_err(|e| {
            invalid(format!(
                "{what} at byte {} is not UTF-8; the file is damaged",
                self.pos - raw.len()
            ))
            .with_source(e)
        })
    }

    fn too_long(&self, what: &str) -> Error {
        let rest = self.rest().len();
        invalid(if self.cut {
            format!(
                "{what} at byte {} goes beyond the largest header accepted, {MAX_HEADER_BYTES} bytes; the file is damaged",
                self.pos
            )
        } else {
            format!(
                "{what} at byte {} cannot fit into the {rest} bytes that remain; \
                 the file is truncated or damaged, {}",
                self.pos, self.advice
            )
        })
    }
}

/// A damaged file.
pub(super) fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidFile, message)
}
