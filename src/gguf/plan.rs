//! The layout of a file before its first byte is written: every offset, the whole header, the size.
//!
//! It checks that what is planned is what the reader accepts. It writes nothing itself.

use super::checksum::Checksum;
use super::encode::{encode, encoded_length};
use super::parse::alignment;
use super::tensor::n_bytes;
use super::{
    ALIGNMENT_KEY, CHECKSUM_KEY, DEFAULT_ALIGNMENT, HEADER_CHECKSUM_KEY, MAX_ALIGNMENT,
    MAX_HEADER_BYTES, MAX_KEY_LENGTH, MAX_NAME_LENGTH, Metadata, TensorInfo, TensorType,
};
use crate::{Error, ErrorKind, Result};
use std::collections::HashSet;

/// A tensor to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTensor {
    /// Name, unique within the file.
    pub name: String,
    /// Format of its values.
    pub ty: TensorType,
    /// One to four dimensions in ggml order.
    pub dims: Vec<u64>,
    /// Alignment of its first byte within the file, a power of two. The file's own alignment holds
    /// as well; 1 asks for nothing more.
    pub align: u64,
}

/// A file to be written: metadata and tensors, and where each byte of them goes.
#[derive(Clone, Debug)]
pub struct Plan {
    metadata: Metadata,
    tensors: Vec<PlannedTensor>,
    places: Vec<TensorInfo>,
    header: Vec<u8>,
    checksums_at: usize,
    file_size: u64,
}

impl Plan {
    /// Lays out `tensors` in the order given behind `metadata`.
    ///
    /// If `metadata` does not set `general.alignment`, it becomes the largest alignment asked for.
    /// That leaves no gaps beyond the padding that the alignment itself explains, which ggml's own
    /// reader insists on. Checksum keys are added, replacing any from another file.
    ///
    /// # Errors
    /// `InvalidTensor` for a name or shape that the format cannot hold, `InvalidArgument` for such
    /// a key or alignment.
    pub fn new(mut metadata: Metadata, tensors: Vec<PlannedTensor>) -> Result<Self> {
        check_keys(&metadata)?;
        check_tensors(&tensors)?;
        let alignment = if metadata.contains(ALIGNMENT_KEY) {
            alignment(&metadata).map_err(|e| argument(e.message().to_owned()))?
        } else {
            let largest = tensors.iter().map(|t| t.align).max();
            largest.unwrap_or(1).max(DEFAULT_ALIGNMENT)
        };
        // At most `MAX_ALIGNMENT`, and ggml expects this very type.
        metadata.insert(ALIGNMENT_KEY, alignment as u32);
        metadata.insert(HEADER_CHECKSUM_KEY, 0u64);
        metadata.insert(CHECKSUM_KEY, vec![0u64; tensors.len()]);

        let mut places = sizes(&tensors)?;
        let data_start = encoded_length(&metadata, &places).next_multiple_of(alignment);
        if data_start > MAX_HEADER_BYTES as u64 {
            return Err(argument(format!(
                "the header would take {data_start} bytes, at most {MAX_HEADER_BYTES} can be read back"
            )));
        }
        let mut end = data_start;
        for (place, tensor) in places.iter_mut().zip(&tensors) {
            let step = tensor.align.max(alignment);
            place.offset = end.checked_next_multiple_of(step).ok_or_else(too_large)?;
            end = place
                .offset
                .checked_add(place.n_bytes)
                .and_then(|end| end.checked_next_multiple_of(alignment))
                .ok_or_else(too_large)?;
        }
        i64::try_from(end).map_err(|_| too_large())?;

        let mut encoded = encode(&metadata, &places, data_start);
        let (Some(header_checksum_at), Some(checksums_at)) =
            (encoded.header_checksum_at, encoded.checksums_at)
        else {
            return Err(Error::new(
                ErrorKind::Internal,
                "the header was encoded without its checksums",
            ));
        };
        let checksum = Checksum::of(&encoded.bytes);
        encoded.bytes[header_checksum_at..][..8].copy_from_slice(&checksum.to_le_bytes());
        metadata.insert(HEADER_CHECKSUM_KEY, checksum);
        Ok(Self {
            metadata,
            tensors,
            places,
            header: encoded.bytes,
            checksums_at,
            file_size: end,
        })
    }

    /// The metadata as it will be written, checksums of tensors still 0.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The tensors in file order.
    pub fn tensors(&self) -> &[PlannedTensor] {
        &self.tensors
    }

    /// The tensors in file order with their places.
    pub fn places(&self) -> &[TensorInfo] {
        &self.places
    }

    /// Size of the complete file in bytes.
    pub fn file_size(&self) -> u64 {
        self.file_size
    }

    /// The header with checksums of tensors still 0, up to the data section.
    pub(super) fn header(&self) -> &[u8] {
        &self.header
    }

    /// Position of the checksum of tensor `index` in the file.
    pub(super) fn checksum_at(&self, index: usize) -> usize {
        self.checksums_at + 8 * index
    }

    /// Where tensor `index` begins; for the index after the last, where the file ends.
    pub(super) fn start_of(&self, index: usize) -> u64 {
        self.places.get(index).map_or(self.file_size, |t| t.offset)
    }
}

fn check_keys(metadata: &Metadata) -> Result<()> {
    match metadata
        .iter()
        .find(|(key, _)| key.is_empty() || key.len() > MAX_KEY_LENGTH)
    {
        None => Ok(()),
        Some((key, _)) => Err(argument(format!(
            "a metadata key has {} bytes, expected 1 to {MAX_KEY_LENGTH}",
            key.len()
        ))),
    }
}

fn check_tensors(tensors: &[PlannedTensor]) -> Result<()> {
    let mut names = HashSet::new();
    for t in tensors {
        let name = &t.name;
        if name.is_empty() || name.len() > MAX_NAME_LENGTH {
            return Err(tensor_error(format!(
                "tensor name \"{name}\" has {} bytes, expected 1 to {MAX_NAME_LENGTH}",
                name.len()
            )));
        }
        if !names.insert(name) {
            return Err(tensor_error(format!("tensor {name} is planned twice")));
        }
        if !t.align.is_power_of_two() || t.align > MAX_ALIGNMENT {
            return Err(argument(format!(
                "tensor {name}: alignment {} is not a power of two up to {MAX_ALIGNMENT}",
                t.align
            )));
        }
    }
    Ok(())
}

/// The tensors with their sizes, not yet placed.
fn sizes(tensors: &[PlannedTensor]) -> Result<Vec<TensorInfo>> {
    let size = |t: &PlannedTensor| {
        let n_bytes = n_bytes(t.ty, &t.dims)
            .map_err(|why| tensor_error(format!("tensor {} {why}", t.name)))?;
        Ok(TensorInfo {
            name: t.name.clone(),
            ty: t.ty,
            dims: t.dims.clone(),
            offset: 0,
            n_bytes,
        })
    };
    tensors.iter().map(size).collect()
}

fn argument(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

fn tensor_error(message: String) -> Error {
    Error::new(ErrorKind::InvalidTensor, message)
}

fn too_large() -> Error {
    argument("the planned file is too large to address".to_owned())
}
