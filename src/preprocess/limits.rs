//! How much a picture may cost before it is refused.
//!
//! Owns the limits and the sentences that explain a refusal. Sizes are checked when a picture's
//! header has been read, before anything is allocated from them; no file format is known here.

use crate::{Error, ErrorKind, Result};
use std::{fs::File, io::Read, path::Path};

/// Largest picture that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Bytes of an encoded picture. 256 MiB by default.
    pub max_file_bytes: u64,
    /// Pixels (width × height) of a decoded picture. 100 million by default.
    pub max_pixels: u64,
    /// Bytes of memory that one step (decoding, resizing) may take. 1 GiB by default, enough for
    /// `max_pixels` in any pixel format.
    pub max_memory_bytes: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            max_file_bytes: 256 << 20,
            max_pixels: 100_000_000,
            max_memory_bytes: 1 << 30,
        }
    }
}

impl DecodeLimits {
    /// Content of the picture's file `path`, of which no more than one byte beyond the limit is read.
    ///
    /// Errors if it cannot be read.
    pub fn read_file(&self, path: &Path) -> Result<Vec<u8>> {
        let read = |error| Error::io(path, "read", error);
        let file = File::open(path).map_err(read)?;
        if file.metadata().map_err(read)?.is_dir() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("{}: is a folder, expected a picture", path.display()),
            ));
        }
        let mut bytes = Vec::new();
        file.take(self.max_file_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(read)?;
        Ok(bytes)
    }

    /// Refuses an encoded picture of too many bytes, or of none.
    pub(super) fn check_file(&self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidImage,
                "is empty, expected a picture",
            ));
        }
        if bytes.len() as u64 > self.max_file_bytes {
            return Err(too_large(format!(
                "the file has more than {} bytes, the limit of max_file_bytes",
                self.max_file_bytes
            )));
        }
        Ok(())
    }

    /// Refuses a picture of too many pixels, or of none.
    pub(super) fn check_size(&self, width: u32, height: u32) -> Result<()> {
        if width == 0 || height == 0 {
            return Err(Error::new(
                ErrorKind::InvalidImage,
                format!("the picture is {width}x{height}, expected at least 1x1"),
            ));
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(too_large(format!(
                "the picture is {width}x{height}, beyond the limit of {} pixels (max_pixels); \
                 scale it down",
                self.max_pixels
            )));
        }
        Ok(())
    }

    /// Refuses a buffer of too many bytes; returns its length otherwise.
    pub(super) fn check_memory(&self, n_bytes: u64) -> Result<usize> {
        match usize::try_from(n_bytes) {
            Ok(n) if n_bytes <= self.max_memory_bytes => Ok(n),
            _ => Err(too_large(format!(
                "the picture takes {n_bytes} bytes of memory, beyond the limit of {} \
                 (max_memory_bytes); scale it down",
                self.max_memory_bytes
            ))),
        }
    }

    /// The limit as decoders take it.
    pub(super) fn memory_bytes(&self) -> usize {
        usize::try_from(self.max_memory_bytes).unwrap_or(usize::MAX)
    }
}

/// A refusal for size.
pub(super) fn too_large(message: String) -> Error {
    Error::new(ErrorKind::ImageTooLarge, message)
}
