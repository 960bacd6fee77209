//! Files of one folder, and of none beside it.

use pixtral::{Error, ErrorKind, preprocess::DecodeLimits};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder whose files may be named.
pub(super) struct Folder {
    /// Without symbolic links.
    root: PathBuf,
}

impl Folder {
    /// The existing folder `path`.
    pub(super) fn new(path: &Path) -> pixtral::Result<Self> {
        let root = fs::canonicalize(path).map_err(|e| Error::io(path, "open", e))?;
        match root.is_dir() {
            true => Ok(Self { root }),
            false => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("{}: is no folder", path.display()),
            )),
        }
    }

    /// The file `path`, which is relative to the folder or lies in it.
    ///
    /// What lies outside and what does not exist are refused alike, so that nobody learns what there
    /// is outside.
    pub(super) async fn read(&self, path: &Path) -> Result<Vec<u8>, String> {
        let root = self.root.clone();
        let path = path.to_owned();
        let read = move || {
            let found = fs::canonicalize(root.join(&path)).ok();
            // A pipe or a device could take forever.
            let found = found.filter(|found| found.starts_with(&root) && found.is_file());
            let bytes = found.and_then(|found| DecodeLimits::default().read_file(&found).ok());
            bytes.ok_or_else(|| "there is no such file in the folder for pictures".to_owned())
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(read) => read,
            Err(_) => Err("could not be read".to_owned()),
        }
    }
}
