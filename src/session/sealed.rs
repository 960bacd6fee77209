//! Files that this program writes for itself: eight bytes that say what the file is, its version, a
//! body, and a checksum of all that. They get their name only when complete, and nothing of one
//! is believed before its checksum is. What a body means is not known here.

use crate::{
    Error, ErrorKind, Result,
    gguf::{Checksum, Cursor, Mapping, check_file_name, open_partial, partial_path, publish},
};
use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// A kind of file.
pub(super) struct Format {
    /// The first bytes.
    pub(super) magic: [u8; 8],
    /// The version that is written, and the only one that is read.
    pub(super) version: u32,
    /// What a person calls it.
    pub(super) name: &'static str,
}

/// Bytes around a body.
pub(super) const OVERHEAD: u64 = 8 + 4 + 8;

/// Writes one file. Dropped before [`finish`](Self::finish), it leaves nothing.
pub(super) struct SealedWriter {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<fs::File>,
    checksum: Checksum,
    finished: bool,
}

impl SealedWriter {
    /// Begins the file that will be called `path`.
    ///
    /// Errors if it cannot be written, or if another process is writing it.
    pub(super) fn create(path: &Path, format: &Format) -> Result<Self> {
        check_file_name(path)?;
        let partial = partial_path(path);
        let file = open_partial(&partial)?;
        keep_private(&file);
        let mut writer = Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            checksum: Checksum::default(),
            finished: false,
            partial,
        };
        writer.guarded(|w| w.file.get_ref().set_len(0))?;
        writer.put(&format.magic)?;
        writer.put(&format.version.to_le_bytes())?;
        Ok(writer)
    }

    /// Writes the next bytes of the body.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.checksum.update(bytes);
        self.guarded(|w| w.file.write_all(bytes))
    }

    /// Seals the file, brings it safely to disk and gives it its name, replacing what had it.
    pub(super) fn finish(mut self) -> Result<()> {
        let checksum = self.checksum.value().to_le_bytes();
        self.guarded(|w| {
            w.file.write_all(&checksum)?;
            w.file.flush()?;
            w.file.get_ref().sync_all()
        })?;
        publish(&self.partial, &self.path, true)?;
        self.finished = true;
        Ok(())
    }

    fn guarded(&mut self, write: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<()> {
        write(self).map_err(|e| Error::io(&self.path, "write", e))
    }
}

/// Conversations and pictures are their owner's alone. A file system without permissions is no reason
/// to refuse.
#[cfg(unix)]
fn keep_private(file: &fs::File) {
    use std::os::unix::fs::PermissionsExt;
    _ = file.set_permissions(fs::Permissions::from_mode(0o600));
}

#[cfg(not(unix))]
fn keep_private(_file: &fs::File) {}

impl Drop for SealedWriter {
    fn drop(&mut self) {
        if !self.finished {
            _ = fs::remove_file(&self.partial);
        }
    }
}

/// A file whose checksum is right, mapped.
pub(super) struct Sealed {
    mapping: Mapping,
}

impl Sealed {
    /// Opens the file `path` and compares its checksum, which reads all of it.
    ///
    /// Errors if it cannot be read, is not of this format and version, or is damaged.
    pub(super) fn open(path: &Path, format: &Format) -> Result<Self> {
        let about = fs::metadata(path).map_err(|e| Error::io(path, "open", e))?;
        let fail =
            |kind, what: String| Err(Error::new(kind, format!("{}: {what}", path.display())));
        let name = format.name;
        if !about.is_file() {
            return fail(
                ErrorKind::InvalidArgument,
                format!("is not a regular file, expected {name}"),
            );
        }
        let mapping = Mapping::open(path)?;
        let bytes = mapping.bytes();
        if !bytes.starts_with(&format.magic) {
            return fail(
                ErrorKind::InvalidFile,
                format!("is not {name}; choose another file"),
            );
        }
        let damaged = "is damaged or incomplete; delete it to start anew".to_owned();
        let Some((sealed, checksum)) = bytes.split_last_chunk() else {
            return fail(ErrorKind::ChecksumMismatch, damaged);
        };
        let mut start = Cursor::over(sealed, ADVICE);
        let (Ok(_), Ok(version)) = (start.array::<8>("magic"), start.u32("version")) else {
            return fail(ErrorKind::ChecksumMismatch, damaged);
        };
        if Checksum::of(sealed) != u64::from_le_bytes(*checksum) {
            return fail(ErrorKind::ChecksumMismatch, damaged);
        }
        if version != format.version {
            return fail(
                ErrorKind::InvalidFile,
                format!(
                    "has version {version} of its format, expected {}: it was written by another \
                     version of this program; use that one or delete it to start anew",
                    format.version
                ),
            );
        }
        Ok(Self { mapping })
    }

    /// A reading position at the start of the body.
    pub(super) fn body(&self) -> Cursor<'_> {
        let bytes = self.mapping.bytes();
        Cursor::over(&bytes[8 + 4..bytes.len() - 8], ADVICE)
    }
}

/// What to do about a body that is too short.
const ADVICE: &str = "delete it to start anew";

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format {
        magic: *b"TESTFILE",
        version: 3,
        name: "a test file",
    };

    fn write(path: &Path, body: &[u8], format: &Format) {
        let mut writer = SealedWriter::create(path, format).unwrap();
        writer.put(body).unwrap();
        writer.finish().unwrap();
    }

    #[test]
    fn a_body_comes_back_whole_and_replaces_an_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write(&path, b"old and longer", &FORMAT);
        write(&path, b"new", &FORMAT);
        assert_eq!(Sealed::open(&path, &FORMAT).unwrap().body().rest(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().len(), OVERHEAD + 3);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn only_the_owner_can_read_a_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write(&path, b"secret", &FORMAT);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }

    #[test]
    fn a_file_that_was_not_finished_leaves_nothing_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write(&path, b"old", &FORMAT);
        let mut writer = SealedWriter::create(&path, &FORMAT).unwrap();
        writer.put(b"new").unwrap();
        drop(writer);
        assert_eq!(Sealed::open(&path, &FORMAT).unwrap().body().rest(), b"old");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        write(&path, b"body", &FORMAT);
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            assert!(Sealed::open(&path, &FORMAT).is_err(), "cut at {end}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                fs::write(&path, &bytes).unwrap();
                assert!(Sealed::open(&path, &FORMAT).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn other_kinds_and_versions_of_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let other = |magic, version| Format {
            magic,
            version,
            ..FORMAT
        };
        write(&path, b"", &other(*b"TESTFILE", 4));
        let e = Sealed::open(&path, &FORMAT).err().unwrap();
        assert!(e.message().contains("version 4"), "{e}");
        write(&path, b"", &other(*b"OTHERONE", 3));
        let e = Sealed::open(&path, &FORMAT).err().unwrap();
        assert!(e.message().contains("is not a test file"), "{e}");
        let e = Sealed::open(folder.path(), &FORMAT).err().unwrap();
        assert!(e.message().contains("is not a regular file"), "{e}");
    }
}
