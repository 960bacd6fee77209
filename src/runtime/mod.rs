//! Where models meet devices: opens a model file, places its weights, and runs the two graphs.
//!
//! Owns the mapping from file to weights ([`Model`]) and how the file is loaded, which device gets
//! which of them ([`placement`]), what memory that takes and what is done when there is too little, the
//! key-value cache, the vision encoder and the decoder, each with a scheduler of its own, and what a
//! machine can run ([`fit`]). It knows nothing of text, templates or sampling.

mod bandwidth;
mod calibrate;
mod decoder;
mod encoder;
pub mod fit;
mod kv_cache;
pub mod load;
pub mod memory;
mod model;
mod needs;
mod paging;
mod placed;
pub mod placement;
mod rates;
#[cfg(test)]
mod testing;
mod threads;

pub use bandwidth::memory_bandwidth;
pub(crate) use calibrate::calibrate;
pub use decoder::{Decoder, DecoderOptions, ImageRow, Outputs, Part, Run};
pub use encoder::{ImageEmbedding, VisionEncoder};
pub use kv_cache::KvType;
pub use load::{LoadMode, LoadOptions};
pub use model::Model;
pub use needs::MemoryNeeds;
pub use placement::{PlacedModel, PlacementOptions, Placer, Plan};
pub(crate) use rates::RatePart;
pub use rates::Rates;
pub use threads::performance_cores;
