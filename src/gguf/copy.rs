//! Reads a whole mapped file into memory of its own, by several threads. What the system has cached
//! is copied from there; the rest is read past its cache, so that other programs' files stay in it.
//! It knows nothing of what the bytes mean.

use super::mapping::{Anonymous, Mapping};
use crate::{Error, ErrorKind, Result};
use std::{
    fs, io,
    ops::ControlFlow,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

/// Bytes read at once: a multiple of every disk's blocks.
const STEP: usize = 8 << 20;

/// Reads that are under way at the same time: disks are faster with several, and clearing fresh
/// memory takes as long as filling it.
const N_READERS: usize = 4;

/// A copy of `source`, the mapped file `path`. `progress` is called with the bytes done and their
/// number; it may break off.
pub(super) fn copy(
    source: &Mapping,
    path: &Path,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Mapping> {
    let n = source.bytes().len();
    let no_memory = |e| Error::io(path, "allocate memory for", e);
    let mut memory = Anonymous::new(n).map_err(no_memory)?;
    let reader = Reader {
        direct: source.file().and_then(open_direct),
        source,
    };
    let steps = Mutex::new(memory.bytes_mut().chunks_mut(STEP).enumerate());
    let stop = AtomicBool::new(false);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..N_READERS.min(n.div_ceil(STEP)) {
            let sender = sender.clone();
            scope.spawn(|| {
                // Moved, so that the channel closes with the last reader.
                let sender = sender;
                while !stop.load(Ordering::Relaxed) {
                    let next = steps.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((i, part)) = next else { break };
                    let start = i * STEP;
                    let wanted = STEP.min(n.saturating_sub(start));
                    let result = reader.read(start, part, wanted).map(|()| wanted as u64);
                    if sender.send(result).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut done = 0;
        for result in &results {
            let result = result
                .map_err(|e| Error::io(path, "read", e))
                .and_then(|n_bytes| {
                    done += n_bytes;
                    match progress(done, n as u64) {
                        ControlFlow::Continue(()) => Ok(()),
                        ControlFlow::Break(()) => Err(cancelled(path)),
                    }
                });
            if result.is_err() {
                stop.store(true, Ordering::Relaxed);
                return result;
            }
        }
        Ok(())
    })?;
    memory.freeze(n).map_err(no_memory)
}

fn cancelled(path: &Path) -> Error {
    Error::new(
        ErrorKind::Cancelled,
        format!("{}: stopped before all of it was read", path.display()),
    )
}

/// Ways to read the file that `source` maps.
struct Reader<'a> {
    source: &'a Mapping,
    /// The file once more, read past the system's cache; absent where that is not possible.
    direct: Option<fs::File>,
}

impl Reader<'_> {
    /// Puts the `wanted` bytes from `start` on at the beginning of `part`, which may be longer.
    fn read(&self, start: usize, part: &mut [u8], wanted: usize) -> io::Result<()> {
        let range = start as u64..(start + wanted) as u64;
        let mut done = 0;
        if let Some(direct) = &self.direct
            && self
                .source
                .cached_bytes(range)
                .is_some_and(|n| n < wanted as u64 / 2)
        {
            // Whole blocks are asked for; the file's last one comes back shorter. A refusal is
            // no reason to fail: the ordinary way is left.
            done = read_at(direct, part, start).map_or(0, |n| n.min(wanted));
        }
        match self.source.file() {
            Some(file) => {
                while done < wanted {
                    done += match read_at(file, &mut part[done..wanted], start + done)? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        n => n,
                    };
                }
            }
            None => part[..wanted].copy_from_slice(&self.source.bytes()[start..start + wanted]),
        }
        Ok(())
    }
}

/// Opens `file` again, to be read past the system's cache into aligned memory.
#[cfg(target_os = "linux")]
fn open_direct(file: &fs::File) -> Option<fs::File> {
    use std::os::{fd::AsRawFd, unix::fs::OpenOptionsExt};
    // Not by its name, which may be another file's by now.
    fs::File::options()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .ok()
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_file: &fs::File) -> Option<fs::File> {
    None
}

#[cfg(unix)]
fn read_at(file: &fs::File, part: &mut [u8], start: usize) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, part, start as u64)
}

#[cfg(windows)]
fn read_at(file: &fs::File, part: &mut [u8], start: usize) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, part, start as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Advice, mapping::HUGE_PAGE};

    fn file_of(n: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
        let bytes: Vec<u8> = (0..n).map(|i| (i * 31 % 251) as u8).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &bytes).unwrap();
        (file, bytes)
    }

    fn copied(path: &Path) -> Result<Mapping> {
        let mut last = (0, 0);
        let copy = copy(&Mapping::open(path)?, path, &mut |done, total| {
            last = (done, total);
            ControlFlow::Continue(())
        })?;
        let n = copy.bytes().len() as u64;
        assert_eq!(last, (n, n));
        Ok(copy)
    }

    #[test]
    fn a_copy_holds_the_same_bytes_cached_or_not() {
        for n in [0, 1, 4095, HUGE_PAGE - 1, HUGE_PAGE, 2 * STEP + 12_345] {
            let (file, bytes) = file_of(n);
            assert!(copied(file.path()).unwrap().bytes() == bytes, "{n} cached");
            fs::File::open(file.path()).unwrap().sync_all().unwrap();
            Mapping::open(file.path())
                .unwrap()
                .advise(0..n as u64, Advice::Evict);
            assert!(copied(file.path()).unwrap().bytes() == bytes, "{n} evicted");
        }
    }

    #[test]
    fn a_large_copy_can_be_made_of_huge_pages() {
        let (file, _) = file_of(HUGE_PAGE + 1);
        let copy = copied(file.path()).unwrap();
        assert_eq!(copy.bytes().as_ptr().align_offset(HUGE_PAGE), 0);
    }

    #[test]
    fn breaking_off_is_an_error_that_says_so() {
        let (file, _) = file_of(3 * STEP);
        let source = Mapping::open(file.path()).unwrap();
        let e = copy(&source, file.path(), &mut |_, _| ControlFlow::Break(()));
        assert_eq!(e.err().unwrap().kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let (file, _) = file_of(2 * STEP);
        let source = Mapping::open(file.path()).unwrap();
        file.as_file().set_len(STEP as u64).unwrap();
        let e = copy(&source, file.path(), &mut |_, _| ControlFlow::Continue(()));
        assert_eq!(e.err().unwrap().kind(), ErrorKind::Io);
    }
}
