//! Where models meet devices: opens a model file, places its weights, and runs the two graphs.
//!
//! Owns the mapping from file to weights ([`Model`]), which device gets which of them
//! ([`placement`]), the key-value cache, the vision encoder and the decoder, each with a scheduler of
//! its own, and what a machine can run ([`fit`]). It knows nothing of text, templates or sampling.

mod bandwidth;
mod decoder;
mod encoder;
pub mod fit;
mod kv_cache;
mod model;
mod placed;
pub mod placement;
mod threads;

pub use bandwidth::memory_bandwidth;
pub use decoder::{Decoder, DecoderOptions, ImageRow, Outputs, Run};
pub use encoder::{ImageEmbedding, VisionEncoder};
pub use kv_cache::KvType;
pub use model::Model;
pub use placement::{PlacedModel, PlacementOptions, Placer, Plan};
pub use threads::performance_cores;
