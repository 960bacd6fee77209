//! A file's bytes in memory: mapped from disk, or copied into memory of their own. Always
//! page-aligned. It holds the only `unsafe` code of the container, serves safetensors files as well,
//! and knows nothing of what the bytes mean.

use crate::{Error, ErrorKind, Result};
use memmap2::{Mmap, MmapMut};
use std::{fs, io, ops::Range, path::Path};

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
    /// Read very soon: load it before returning. Where the system cannot, as `WillNeed`.
    Populate,
    /// Read from all over, often: load it in the largest pages that the file system offers.
    HugePages,
    /// Not read again soon: give its memory back. Reading it later loads it again.
    DontNeed,
    /// The same, and the system need not remember it for anybody else either: what no other
    /// process has mapped leaves memory at once.
    Evict,
}

/// Memory is aligned to this, and a multiple of it, where it is to be made of huge pages.
pub(super) const HUGE_PAGE: usize = 2 << 20;

/// Bytes that stay where they are until dropped.
pub(crate) struct Mapping {
    /// Absent when there are no bytes, which cannot be mapped.
    map: Option<Mmap>,
    /// Which bytes of `map` are the contents.
    contents: Range<usize>,
    /// The file that is mapped; bytes that were copied have none.
    file: Option<fs::File>,
}

impl Mapping {
    /// Maps the file at `path` read-only.
    pub(crate) fn open(path: &Path) -> Result<Self> {
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
            contents: 0..map.as_ref().map_or(0, |map| map.len()),
            map,
            file: Some(file),
        })
    }

    /// Copies `bytes` into memory of the same alignment as a mapped file.
    pub(super) fn copy(name: &Path, bytes: &[u8]) -> Result<Self> {
        let mut memory = Anonymous::new(bytes.len()).map_err(|e| Error::io(name, "allocate", e))?;
        memory.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        memory
            .freeze(bytes.len())
            .map_err(|e| Error::io(name, "allocate", e))
    }

    /// All bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.map {
            Some(map) => &map[self.contents.clone()],
            None => &[],
        }
    }

    /// The file that is mapped; bytes that were copied have none.
    pub(super) fn file(&self) -> Option<&fs::File> {
        self.file.as_ref()
    }

    /// Passes `advice` on `range`, cut to what exists. Failures are ignored: it is only a hint.
    /// Bytes that were copied take no advice.
    #[cfg(unix)]
    pub(crate) fn advise(&self, range: Range<u64>, advice: Advice) {
        let (Some(map), Some(_)) = (&self.map, &self.file) else {
            return;
        };
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
            #[cfg(target_os = "linux")]
            Advice::Populate => map
                .advise_range(memmap2::Advice::PopulateRead, offset, len)
                // Linux before 5.14.
                .or_else(|_| map.advise_range(memmap2::Advice::WillNeed, offset, len)),
            #[cfg(not(target_os = "linux"))]
            Advice::Populate => map.advise_range(memmap2::Advice::WillNeed, offset, len),
            #[cfg(target_os = "linux")]
            Advice::HugePages => map.advise_range(memmap2::Advice::HugePage, offset, len),
            #[cfg(not(target_os = "linux"))]
            Advice::HugePages => Ok(()),
            Advice::DontNeed | Advice::Evict => {
                // SAFETY: dropping pages is dangerous for private memory, which would come back
                // as zeros. These are pages of a read-only shared file mapping, which come back
                // from the file with the same bytes.
                unsafe {
                    map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, len)
                }
            }
        };
        if advice == Advice::Evict {
            self.forget(offset, len);
        }
    }

    /// Passes `advice` on; this system takes none.
    #[cfg(not(unix))]
    pub(crate) fn advise(&self, _range: Range<u64>, _advice: Advice) {}

    /// Drops bytes of the file that no process has mapped from the system's cache.
    #[cfg(target_os = "linux")]
    fn forget(&self, offset: usize, len: usize) {
        use std::os::fd::AsRawFd;
        if let Some(file) = &self.file {
            // SAFETY: the descriptor is open; the call touches no memory of this process.
            unsafe {
                libc::posix_fadvise(
                    file.as_raw_fd(),
                    offset as libc::off_t,
                    len as libc::off_t,
                    libc::POSIX_FADV_DONTNEED,
                );
            }
        }
    }

    #[cfg(all(unix, not(target_os = "linux")))]
    fn forget(&self, _offset: usize, _len: usize) {}

    /// How many bytes of `range`, in whole pages, are in memory, mapped or not: reading them does
    /// not wait for the disk. `None` where the system does not say.
    #[cfg(target_os = "linux")]
    pub(super) fn cached_bytes(&self, range: Range<u64>) -> Option<u64> {
        let map = self.map.as_ref().filter(|_| self.file.is_some())?;
        // SAFETY: no arguments; returns a constant of the system.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
        let start = usize::try_from(range.start).ok()? / page * page;
        let end = usize::try_from(range.end).ok()?.min(map.len());
        let len = end.checked_sub(start)?;
        let mut pages = vec![0u8; len.div_ceil(page)];
        // SAFETY: `start` is a whole page of the mapping, `len` bytes of it follow, and there is a
        // byte for each of their pages.
        let status = unsafe {
            libc::mincore(
                map.as_ptr().add(start).cast_mut().cast(),
                len,
                pages.as_mut_ptr().cast(),
            )
        };
        let n = pages.iter().filter(|&&page| page & 1 != 0).count();
        (status == 0).then_some((n * page) as u64)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn cached_bytes(&self, _range: Range<u64>) -> Option<u64> {
        None
    }
}

/// Memory of this process's own, in huge pages where the system has them, to be filled.
pub(super) struct Anonymous {
    map: Option<MmapMut>,
    /// Aligned to a huge page.
    start: usize,
}

impl Anonymous {
    /// Memory for at least `n` bytes: whole huge pages if it is as large as one.
    pub(super) fn new(n: usize) -> io::Result<Self> {
        if n == 0 {
            return Ok(Self {
                map: None,
                start: 0,
            });
        }
        if n < HUGE_PAGE {
            let map = Some(MmapMut::map_anon(n)?);
            return Ok(Self { map, start: 0 });
        }
        let too_large = || io::Error::from(io::ErrorKind::OutOfMemory);
        let whole = n
            .checked_next_multiple_of(HUGE_PAGE)
            .and_then(|n| n.checked_add(HUGE_PAGE))
            .ok_or_else(too_large)?;
        let map = MmapMut::map_anon(whole)?;
        let start = map.as_ptr().align_offset(HUGE_PAGE);
        // Without huge pages it works as well, only slower.
        #[cfg(target_os = "linux")]
        let _ = map.advise_range(memmap2::Advice::HugePage, start, whole - HUGE_PAGE);
        Ok(Self {
            map: Some(map),
            start,
        })
    }

    /// All of it, zero at first.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.map {
            Some(map) => &mut map[self.start..],
            None => &mut [],
        }
    }

    /// Its first `n` bytes, from now on read-only.
    pub(super) fn freeze(self, n: usize) -> io::Result<Mapping> {
        Ok(Mapping {
            map: self.map.map(MmapMut::make_read_only).transpose()?,
            contents: self.start..self.start + n,
            file: None,
        })
    }
}
