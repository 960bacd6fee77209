//! The container: reading GGUF files (mapped, fully validated) and writing them (streamed,
//! checksummed, resumable).
//!
//! It uses the file system and nothing above it: it knows neither ggml nor models, only names,
//! types, shapes and bytes. The format that results is described in `docs/FORMAT.md`.

mod checksum;
mod copy;
mod cursor;
mod disk;
mod encode;
mod file;
mod foreign;
mod mapping;
mod metadata;
mod parse;
mod plan;
mod resume;
mod tensor;
mod types;
mod value;
mod writer;

pub(crate) use checksum::Checksum;
pub use checksum::{CHECKSUM_KEY, HEADER_CHECKSUM_KEY};
pub(crate) use cursor::Cursor;
pub(crate) use disk::{check_file_name, open_partial, publish};
pub use disk::{check_free_space, free_space, partial_path};
pub use file::File;
pub use mapping::Advice;
pub(crate) use mapping::Mapping;
pub use metadata::Metadata;
pub use plan::{Plan, PlannedTensor};
pub use tensor::{MAX_DIMS, MAX_NAME_LENGTH, TensorInfo};
pub use types::TensorType;
pub use value::{Array, Value};
pub use writer::{WriteOptions, Writer};

/// First bytes of every GGUF file.
const MAGIC: &[u8] = b"GGUF";
/// The version that is written. Version 2 has the same layout and is read as well.
const VERSION: u32 = 3;
/// Key of the alignment of tensor data, in bytes.
pub const ALIGNMENT_KEY: &str = "general.alignment";
/// Key of the architecture, the model family that a file is for.
pub const ARCHITECTURE_KEY: &str = "general.architecture";
/// Alignment in a file that does not declare one.
pub const DEFAULT_ALIGNMENT: u64 = 32;
/// Largest alignment accepted.
pub const MAX_ALIGNMENT: u64 = 1 << 20;
/// Longest metadata key in bytes (the format's own limit).
pub const MAX_KEY_LENGTH: usize = 65535;
/// Largest header accepted in bytes: a vocabulary takes a few million.
pub const MAX_HEADER_BYTES: usize = 256 << 20;
