//! Writes a planned file as a stream: header first, then each tensor's bytes in order. The file
//! gets its name only when complete; until then it is `<name>.partial` and can be resumed.
//!
//! It keeps one buffer and one running checksum, whatever the size of the file, and does not know
//! how the bytes come about.

use super::checksum::Checksum;
use super::{Plan, PlannedTensor, disk, resume};
use crate::{Error, ErrorKind, Result};
use std::{
    fs,
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

const BUFFER: usize = 1 << 20;

/// What to do with files that are there already. By default nothing is kept and nothing replaced:
/// an unfinished file is begun anew, a finished one is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Replace a finished file of the same name (at the end, in one step).
    pub overwrite: bool,
    /// Keep the complete tensors of an unfinished file of the same plan.
    pub resume: bool,
}

/// Writes one file. Dropped before [`finish`](Self::finish), it leaves a `.partial` file that can
/// be resumed.
#[derive(Debug)]
pub struct Writer {
    plan: Plan,
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<fs::File>,
    overwrite: bool,
    /// Tensors found complete at the start.
    resumed: usize,
    /// The tensor that the next byte belongs to.
    index: usize,
    /// Bytes of it written so far.
    written: u64,
    checksum: Checksum,
    /// Set when a write failed: what is on disk is no longer known.
    failed: bool,
}

impl Writer {
    /// Begins or resumes the file that `plan` describes and that will be called `path`.
    ///
    /// # Errors
    /// `InvalidArgument` if `path` exists and may not be overwritten, if another process writes
    /// it, or if the unfinished file is of another plan; `DiskFull` and other I/O kinds.
    pub fn create(path: impl AsRef<Path>, plan: Plan, options: WriteOptions) -> Result<Self> {
        let path = path.as_ref();
        disk::check_file_name(path)?;
        if path.exists() && !options.overwrite {
            return Err(disk::already_exists(path));
        }
        let partial = disk::partial_path(path);
        let file = disk::open_partial(&partial)?;
        let resumed = match options.resume {
            true => resume::completed(&file, &partial, &plan)?,
            false => 0,
        };
        let mut writer = Self {
            path: path.to_owned(),
            partial,
            file: BufWriter::with_capacity(BUFFER, file),
            overwrite: options.overwrite,
            resumed,
            index: resumed,
            written: 0,
            checksum: Checksum::default(),
            failed: false,
            plan,
        };
        writer.guarded(Self::start)?;
        Ok(writer)
    }

    /// Leaves the file ending where the first tensor to be written begins.
    fn start(&mut self) -> io::Result<()> {
        let kept = match self.resumed.checked_sub(1) {
            Some(last) => self.plan.places()[last].range().end,
            None => 0,
        };
        let file = self.file.get_ref();
        file.set_len(kept)?;
        if kept == 0 {
            self.file.rewind()?;
            self.file.write_all(self.plan.header())?;
        }
        // Whatever stands behind the first gap is written again.
        let stale = self.plan.places().len() - self.index;
        let at = self.plan.checksum_at(self.index) as u64;
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(&vec![0; 8 * stale])?;
        self.file.flush()?;
        // Padding is zeros, and so is what a longer length brings.
        let start = self.plan.start_of(self.index);
        self.file.get_ref().set_len(start)?;
        self.file.seek(SeekFrom::Start(start))?;
        Ok(())
    }

    /// The plan being written.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Number of tensors kept from an earlier attempt.
    pub fn resumed(&self) -> usize {
        self.resumed
    }

    /// Bytes of the file that are written, out of [`Plan::file_size`].
    pub fn position(&self) -> u64 {
        self.plan.start_of(self.index) + self.written
    }

    /// The tensor that the next byte belongs to and its index; `None` when all are complete.
    pub fn next_tensor(&self) -> Option<(usize, &PlannedTensor)> {
        Some((self.index, self.plan.tensors().get(self.index)?))
    }

    /// Writes the next bytes of [the tensor in turn](Self::next_tensor). With its last byte it is
    /// complete, its checksum is recorded and the next one is in turn.
    ///
    /// # Errors
    /// `InvalidArgument` if there are more bytes than the tensor has (none is written then),
    /// `DiskFull` and other I/O kinds.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(place) = self.plan.places().get(self.index) else {
            return match bytes.len() {
                0 => Ok(()),
                n => Err(self.misuse(format!("{n} bytes beyond the last tensor"))),
            };
        };
        let n_bytes = place.n_bytes;
        let rest = n_bytes - self.written;
        if bytes.len() as u64 > rest {
            return Err(self.misuse(format!(
                "{} bytes for tensor {}, which lacks {rest} of {n_bytes}",
                bytes.len(),
                place.name
            )));
        }
        self.guarded(|w| w.file.write_all(bytes))?;
        self.checksum.update(bytes);
        self.written += bytes.len() as u64;
        if self.written == n_bytes {
            self.guarded(Self::complete_tensor)?;
        }
        Ok(())
    }

    /// Pads behind the tensor in turn, records its checksum and moves on.
    fn complete_tensor(&mut self) -> io::Result<()> {
        let next = self.plan.start_of(self.index + 1);
        let padding = next - self.plan.places()[self.index].range().end;
        io::copy(&mut io::Read::take(io::repeat(0), padding), &mut self.file)?;
        let position = self.file.stream_position()?;
        if position != next {
            return Err(io::Error::other(format!(
                "it is at byte {position} instead of {next}"
            )));
        }
        let at = self.plan.checksum_at(self.index) as u64;
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(&self.checksum.value().to_le_bytes())?;
        self.file.seek(SeekFrom::Start(next))?;
        self.checksum = Checksum::default();
        self.index += 1;
        self.written = 0;
        Ok(())
    }

    /// Completes the file: brings it safely to disk and gives it its name.
    ///
    /// # Errors
    /// `InvalidArgument` if bytes are missing, or if a file of that name appeared meanwhile and
    /// may not be overwritten; `DiskFull` and other I/O kinds. The `.partial` file remains.
    pub fn finish(mut self) -> Result<()> {
        if let Some(place) = self.plan.places().get(self.index) {
            return Err(self.misuse(format!(
                "{} of {} bytes of tensor {}, and the file cannot be finished",
                self.written, place.n_bytes, place.name
            )));
        }
        self.guarded(|w| {
            w.file.flush()?;
            w.file.get_ref().sync_all()
        })?;
        disk::publish(&self.partial, &self.path, self.overwrite)
    }

    /// Runs `write`, naming the file in its error and refusing all after a failure.
    fn guarded(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<()> {
        if self.failed {
            return Err(Error::new(
                ErrorKind::Io,
                format!(
                    "{}: an earlier write to it failed; run the conversion again to resume it",
                    self.partial.display()
                ),
            ));
        }
        write(self).map_err(|e| {
            self.failed = true;
            let e = Error::io(&self.partial, "write", e);
            if e.kind() != ErrorKind::DiskFull {
                return e;
            }
            let lacking = self.plan.file_size().saturating_sub(self.position());
            let message = format!(
                "{}; free {:.2} GB and run the conversion again to resume it",
                e.message(),
                lacking as f64 / 1e9
            );
            Error::new(ErrorKind::DiskFull, message).with_source(e)
        })
    }

    fn misuse(&self, what: String) -> Error {
        Error::new(
            ErrorKind::InvalidArgument,
            format!("{}: was given {what}", self.partial.display()),
        )
    }
}
