//! An open GGUF file: validated header, and tensor data straight from the mapped file. It hands
//! out bytes and does not interpret them.

use super::mapping::{Advice, Mapping};
use super::parse::{Header, parse};
use super::{Metadata, TensorInfo, copy, disk};
use crate::{Error, ErrorKind, Result};
use std::{
    fmt,
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
};

/// A GGUF file, open for reading.
///
/// Opening reads the header only (a few milliseconds for a vocabulary of 131,072); tensor data is
/// loaded by the operating system when first touched. The file must not be truncated while open:
/// touching lost pages ends the process (SIGBUS). Replacing it by a rename is safe.
pub struct File {
    path: PathBuf,
    mapping: Mapping,
    header: Header,
}

impl File {
    /// Opens and validates the file at `path`.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied` or `Io` if it cannot be read, `InvalidFile` if it is not a
    /// sound GGUF file of version 2 or 3, `UnsupportedType` if a tensor's type is unknown.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mapping = Mapping::open(path).map_err(|e| mention_partial(e, path))?;
        Self::new(path, mapping)
    }

    /// Validates `bytes` as if they were a file called `name`.
    pub fn from_bytes(name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<Self> {
        let name = name.as_ref();
        Self::new(name, Mapping::copy(name, bytes.as_ref())?)
    }

    /// The same file read into memory of this process's own, in huge pages where the system has
    /// them: weights are then read as fast as memory allows, whatever becomes of the file. Takes
    /// as much memory as the file is large.
    ///
    /// `progress` is called with the bytes read so far and in all; it may break off.
    ///
    /// # Errors
    /// `OutOfMemory` or `Io` if it cannot be read, `Cancelled` if `progress` broke off.
    pub fn copy_into_memory(
        mut self,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Self> {
        self.mapping = copy::copy(&self.mapping, &self.path, progress)?;
        Ok(self)
    }

    fn new(path: &Path, mapping: Mapping) -> Result<Self> {
        let header = parse(mapping.bytes()).map_err(|e| e.context(path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            mapping,
            header,
        })
    }

    /// The path as given when opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keys and values.
    pub fn metadata(&self) -> &Metadata {
        &self.header.metadata
    }

    /// All tensors in the order of the header.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.header.tensors
    }

    /// The tensor called `name`, or an error that says that it is missing.
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo> {
        self.find(name).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidFile,
                format!(
                    "{}: tensor {name} is missing; the file is of another model or incomplete",
                    self.path.display()
                ),
            )
        })
    }

    /// The tensor called `name`, if there is one.
    pub fn find(&self, name: &str) -> Option<&TensorInfo> {
        let index = *self.header.by_name.get(name)?;
        self.header.tensors.get(index)
    }

    /// The data of a tensor of this file.
    ///
    /// # Panics
    /// If `tensor` is of another, larger file.
    pub fn data(&self, tensor: &TensorInfo) -> &[u8] {
        let start = tensor.offset as usize;
        &self.bytes()[start..start + tensor.n_bytes as usize]
    }

    /// The whole file. The first byte is page-aligned.
    pub fn bytes(&self) -> &[u8] {
        self.mapping.bytes()
    }

    /// First byte of the data section; all before it is the header.
    pub fn data_start(&self) -> u64 {
        self.header.data_start
    }

    /// Whether the bytes are mapped from the disk, not copied: they cost no memory that the system
    /// could not take back.
    pub fn is_mapped(&self) -> bool {
        self.mapping.file().is_some()
    }

    /// How many bytes of `range`, in whole pages, are in memory already. `None` where the system
    /// does not say, or if nothing is mapped.
    pub fn cached_bytes(&self, range: Range<u64>) -> Option<u64> {
        self.mapping.cached_bytes(range)
    }

    /// Tells the operating system what will happen to the bytes of `range`, which is rounded to
    /// whole pages outwards and cut to the file.
    pub fn advise(&self, range: Range<u64>, advice: Advice) {
        self.mapping.advise(range, advice);
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .field("keys", &self.metadata().len())
            .field("tensors", &self.tensors().len())
            .finish()
    }
}

/// Adds to a "no such file" that its unfinished conversion is there.
fn mention_partial(e: Error, path: &Path) -> Error {
    let partial = disk::partial_path(path);
    if e.kind() == ErrorKind::NotFound && partial.exists() {
        return Error::new(
            ErrorKind::NotFound,
            format!(
                "{}, but its unfinished conversion {} is there: run the conversion again to complete it",
                e.message(),
                partial.display()
            ),
        );
    }
    e
}
