//! The writing end: checks before the first byte, and the thread that takes tiles in order through
//! a bounded queue, so that quantising and writing overlap while few tiles exist at once.

use super::QuantizeOptions;
use crate::gguf::{Plan, WriteOptions, Writer, check_free_space, partial_path};
use crate::{Error, ErrorKind, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
};

/// Tiles that wait for the writer. One more is being written and one being made.
const WAITING: usize = 2;

/// Opens the file `path`, to be written by `plan`, if it may be and fits on the disk. `inputs` are
/// the files that the weights come from.
pub(super) fn open(
    path: &Path,
    plan: &Plan,
    options: &QuantizeOptions,
    inputs: &[PathBuf],
) -> Result<Writer> {
    if let Some(input) = inputs.iter().find(|input| same_file(input, path)) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "{}: is a file of the checkpoint; choose another name for the output",
                input.display()
            ),
        ));
    }
    // An unfinished file is written over in place.
    let held = fs::metadata(partial_path(path)).map_or(0, |about| about.len());
    check_free_space(path, plan.file_size().saturating_sub(held))?;
    let how = WriteOptions {
        overwrite: options.overwrite,
        resume: options.resume,
    };
    Writer::create(path, plan.clone(), how)
}

/// Whether both paths lead to one file that is there.
pub(super) fn same_file(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// Where tiles go.
pub(super) struct Sink {
    tiles: SyncSender<Vec<u8>>,
    written: Receiver<Vec<u8>>,
}

impl Sink {
    /// A buffer of `len` bytes with some content, one that was written before if there is any.
    pub fn buffer(&self, len: usize) -> Vec<u8> {
        let mut buffer = self.written.try_recv().unwrap_or_default();
        buffer.resize(len, 0);
        buffer
    }

    /// Hands over the next bytes of the file; waits while the queue is full.
    pub fn send(&self, tile: Vec<u8>) -> Result<()> {
        self.tiles
            .send(tile)
            .map_err(|_| Error::new(ErrorKind::Io, "the writer stopped"))
    }
}

/// Runs `produce`, which sends all bytes that `writer` lacks, and completes the file. If it fails,
/// what was written stays as an unfinished file.
pub(super) fn stream(mut writer: Writer, produce: impl FnOnce(&Sink) -> Result<()>) -> Result<()> {
    let (tiles, queue) = mpsc::sync_channel::<Vec<u8>>(WAITING);
    let (spent, written) = mpsc::channel();
    thread::scope(|scope| {
        let writing = scope.spawn(move || {
            for tile in queue {
                writer.write(&tile)?;
                // Nobody takes buffers back at the end.
                let _ = spent.send(tile);
            }
            Ok::<_, Error>(writer)
        });
        let sink = Sink { tiles, written };
        let produced = produce(&sink);
        drop(sink);
        let writer = writing
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // If the writer failed, `produced` only says that it stopped listening.
        let writer = writer?;
        produced?;
        writer.finish()
    })
}
