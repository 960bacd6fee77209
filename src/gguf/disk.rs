//! What the container needs from the file system: free space, the name of an unfinished file, and
//! renames that survive a power cut. Nothing here knows GGUF.

use crate::{Error, ErrorKind, Result};
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// Bytes that this user can still write on the file system of `path`, which need not exist yet.
pub fn free_space(path: impl AsRef<Path>) -> Result<u64> {
    let path = path.as_ref();
    let folder = path
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(Path::new("."));
    fs4::available_space(folder).map_err(|e| Error::io(folder, "measure the free space of", e))
}

/// Refuses with `DiskFull` if `needed` bytes do not fit on the file system of `path`.
pub fn check_free_space(path: impl AsRef<Path>, needed: u64) -> Result<()> {
    let path = path.as_ref();
    let free = free_space(path)?;
    if needed <= free {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::DiskFull,
        format!(
            "{}: {:.2} GB are needed but only {:.2} GB are free; free some or choose another disk",
            path.display(),
            needed as f64 / 1e9,
            free as f64 / 1e9
        ),
    ))
}

/// Where the file that will be `path` is built: beside it, so that a rename completes it.
pub fn partial_path(path: impl AsRef<Path>) -> PathBuf {
    let mut name = OsString::from(path.as_ref());
    name.push(".partial");
    name.into()
}

/// Refuses a `path` that cannot be a file's.
pub(crate) fn check_file_name(path: &Path) -> Result<()> {
    if path.is_dir() || path.file_name().is_none() {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{}: is a folder, expected a file name", path.display()),
        ));
    }
    Ok(())
}

/// Opens the unfinished file `partial`, creating it if need be, for this process alone.
pub(crate) fn open_partial(partial: &Path) -> Result<fs::File> {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(partial)
        .map_err(|e| Error::io(partial, "create", e))?;
    // A file system that cannot lock is no reason to refuse. One that was renamed by its writer
    // between our opening and locking is no longer unfinished.
    let busy = matches!(
        fs4::FileExt::try_lock(&file),
        Err(fs4::TryLockError::WouldBlock)
    ) || !is_still_at(&file, partial);
    if busy {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "{}: another process is writing it; wait for it or choose another name",
                partial.display()
            ),
        ));
    }
    Ok(file)
}

#[cfg(unix)]
fn is_still_at(file: &fs::File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_still_at(_file: &fs::File, path: &Path) -> bool {
    path.exists()
}

/// Gives the complete and synchronised file `partial` its name `path`, durably. Another file of
/// that name is replaced only with `overwrite`.
pub(crate) fn publish(partial: &Path, path: &Path, overwrite: bool) -> Result<()> {
    let renamed = if overwrite {
        fs::rename(partial, path)
    } else {
        // A rename would replace silently; a second name cannot.
        match fs::hard_link(partial, path) {
            Ok(()) => fs::remove_file(partial),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(e),
            // Not every file system knows second names.
            Err(_) if path.exists() => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(partial, path),
        }
    };
    renamed.map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => already_exists(path),
        _ => Error::io(path, "create", e),
    })?;
    sync_folder_of(path)
}

/// The refusal to replace `path`.
pub(super) fn already_exists(path: &Path) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "{}: exists already; choose another name or ask for it to be overwritten",
            path.display()
        ),
    )
}

/// Makes a new name in the folder of `path` survive a power cut.
#[cfg(unix)]
fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    fs::File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(|e| Error::io(folder, "synchronise", e))
}

#[cfg(not(unix))]
fn sync_folder_of(_path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_known_for_files_that_do_not_exist_yet() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder/x.gguf");
        assert!(free_space(&path).unwrap() > 0);
        assert!(free_space("x.gguf").unwrap() > 0);
        check_free_space(&path, 1).unwrap();
        let e = check_free_space(&path, u64::MAX).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::DiskFull);
    }

    #[test]
    fn a_finished_file_is_not_replaced_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let (partial, path) = (dir.path().join("x.partial"), dir.path().join("x"));
        fs::write(&partial, "new").unwrap();
        fs::write(&path, "old").unwrap();
        let e = publish(&partial, &path, false).unwrap_err();
        assert!(e.message().contains("exists already"), "{e}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        publish(&partial, &path, true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(!partial.exists());
    }

    #[test]
    fn an_unfinished_file_belongs_to_one_writer() {
        let dir = tempfile::tempdir().unwrap();
        let partial = dir.path().join("x.partial");
        let first = open_partial(&partial).unwrap();
        let e = open_partial(&partial).unwrap_err();
        assert!(e.message().contains("another process"), "{e}");
        drop(first);
        open_partial(&partial).unwrap();
    }
}
