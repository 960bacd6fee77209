//! One safetensors file: its header read through the `safetensors` crate, its weights as mapped
//! bytes. Knows the container and nothing about models.

use super::fields::invalid;
use crate::gguf::Mapping;
use crate::{Error, ErrorKind, Result};
use safetensors::tensor::Metadata;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes before the header: its length.
const LENGTH_BYTES: usize = 8;

/// Longest header that is read (the limit of the safetensors crate).
const MAX_HEADER: u64 = 100_000_000;

/// A mapped safetensors file.
pub(super) struct Shard {
    pub path: PathBuf,
    pub mapping: Mapping,
    metadata: Metadata,
    /// Where the weights begin.
    data_start: usize,
}

/// A tensor of a shard.
pub(super) struct Entry {
    pub name: String,
    pub dtype: safetensors::Dtype,
    /// Outermost dimension first.
    pub shape: Vec<usize>,
    /// Its bytes within the file.
    pub bytes: Range<usize>,
}

impl Shard {
    /// Maps `path` and checks that its header and its length agree.
    pub fn open(path: &Path) -> Result<Self> {
        let about = fs::metadata(path).map_err(|e| Error::io(path, "open", e))?;
        if !about.is_file() {
            return Err(damaged(path, "it is not a file"));
        }
        let mapping = Mapping::open(path)?;
        let bytes = mapping.bytes();
        let truncated = |expected: &dyn std::fmt::Display| {
            invalid(format!(
                "{}: has {} of {expected} bytes: download it again",
                path.display(),
                bytes.len()
            ))
        };
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Err(truncated(&format_args!("at least {LENGTH_BYTES}")));
        };
        let length = u64::from_le_bytes(*length);
        if length > MAX_HEADER {
            return Err(damaged(path, "its header would be longer than 100 MB"));
        }
        // No overflow: both terms are small.
        let data_start = LENGTH_BYTES + length as usize;
        let Some(header) = rest.get(..length as usize) else {
            return Err(truncated(&format_args!("at least {data_start}")));
        };
        let metadata: Metadata =
            serde_json::from_slice(header).map_err(|e| damaged(path, &e.to_string()))?;
        let expected = data_start
            .checked_add(metadata.data_len())
            .ok_or_else(|| damaged(path, "its tensors end beyond every file"))?;
        if bytes.len() < expected {
            return Err(truncated(&expected));
        }
        if bytes.len() > expected {
            return Err(damaged(
                path,
                &format!(
                    "has {} bytes, its header accounts for {expected}",
                    bytes.len()
                ),
            ));
        }
        Ok(Self {
            path: path.to_path_buf(),
            mapping,
            metadata,
            data_start,
        })
    }

    /// Its tensors.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.metadata.tensors().into_iter().map(|(name, info)| {
            let (start, end) = info.data_offsets;
            Entry {
                name,
                dtype: info.dtype,
                shape: info.shape.clone(),
                // Within the file, as `open` checked for the last tensor.
                bytes: self.data_start + start..self.data_start + end,
            }
        })
    }
}

fn damaged(path: &Path, reason: &str) -> Error {
    Error::new(
        ErrorKind::InvalidCheckpoint,
        format!("{}: not a sound safetensors file: {reason}", path.display()),
    )
}
