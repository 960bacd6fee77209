//! A file's bytes in memory: mapped from disk, or (for tests) copied. Always page-aligned. It
//! holds the only `unsafe` code of the container and knows nothing of what the bytes mean.

use crate::{Error, ErrorKind, Result};
use memmap2::{Mmap, MmapMut};
use std::{fs, ops::Range, path::Path};

/// What the caller will do with a range of the file; a hint to the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Nothing special, the state at the start.
    Normal,
    /// Read once from front to back.
    Sequential,
    /// Read here and there: do not read ahead.
    Random,
    /// Read soon: begin to load it now.
    WillNeed,
    /// Not read again soon: give its memory back. Reading it later loads it again.
    DontNeed,
}

/// Bytes that stay where they are until dropped.
pub(super) struct Mapping {
    /// Absent when there are no bytes, which cannot be mapped.
    map: Option<Mmap>,
    /// Whether the bytes can be loaded again from a file.
    from_file: bool,
}

impl Mapping {
    /// Maps the file at `path` read-only.
    pub(super) fn open(path: &Path) -> Result<Self> {
        // Asked before opening, since opening a pipe would wait for its writer.
        let about = fs::metadata(path).map_err(|e| Error::io(path, "open", e))?;
        if !about.is_file() {
            let what = if about.is_dir() {
                "is a folder, expected a GGUF file; a checkpoint folder is converted with pixtral-quantize"
            } else {
                "is not a regular file, expected a GGUF file"
            };
            return Err(Error::new(ErrorKind::InvalidFile, what).context(path.display()));
        }
        let file = fs::File::open(path).map_err(|e| Error::io(path, "open", e))?;
        let about = file.metadata().map_err(|e| Error::io(path, "read", e))?;
        let map = match about.len() {
            0 => None,
            _ => {
                // SAFETY: the mapping is read-only and shared, and never handed out as mutable.
                // What Rust cannot rule out is another process changing the file meanwhile:
                // changed bytes are read as wrong weights, and after a truncation reading the
                // lost pages ends this process with SIGBUS. Neither corrupts memory: every
                // length and offset that the code relies on was copied out and checked when the
                // file was opened. Our own writer never changes a finished file, it renames a
                // new one over it, which leaves this mapping whole.
                let map = unsafe { Mmap::map(&file) };
                Some(map.map_err(|e| Error::io(path, "map", e))?)
            }
        };
        Ok(Self {
            map,
            from_file: true,
        })
    }

    /// Copies `bytes` into memory of the same alignment as a mapped file.
    pub(super) fn copy(name: &Path, bytes: &[u8]) -> Result<Self> {
        let map = match bytes.len() {
            0 => None,
            n => {
                let fill = || {
                    let mut map = MmapMut::map_anon(n)?;
                    map.copy_from_slice(bytes);
                    map.make_read_only()
                };
                Some(fill().map_err(|e| Error::io(name, "allocate", e))?)
            }
        };
        Ok(Self {
            map,
            from_file: false,
        })
    }

    /// All bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// Passes `advice` on `range`, cut to what exists. Failures are ignored: it is only a hint.
    #[cfg(unix)]
    pub(super) fn advise(&self, range: Range<u64>, advice: Advice) {
        let Some(map) = &self.map else { return };
        let end = range.end.min(map.len() as u64);
        if range.start >= end {
            return;
        }
        let (offset, len) = (range.start as usize, (end - range.start) as usize);
        // Ignored on purpose: without the hint everything works, only slower.
        let _ = match advice {
            Advice::Normal => map.advise_range(memmap2::Advice::Normal, offset, len),
            Advice::Sequential => map.advise_range(memmap2::Advice::Sequential, offset, len),
            Advice::Random => map.advise_range(memmap2::Advice::Random, offset, len),
            Advice::WillNeed => map.advise_range(memmap2::Advice::WillNeed, offset, len),
            Advice::DontNeed if !self.from_file => Ok(()),
            Advice::DontNeed => {
                // SAFETY: dropping pages is dangerous for private memory, which would come back
                // as zeros. These are pages of a read-only shared file mapping, which come back
                // from the file with the same bytes.
                unsafe {
                    map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, len)
                }
            }
        };
    }

    /// Passes `advice` on; this system takes none.
    #[cfg(not(unix))]
    pub(super) fn advise(&self, _range: Range<u64>, _advice: Advice) {
        let _ = self.from_file;
    }
}
