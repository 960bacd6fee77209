//! The model as mathematics: its weights by name and shape, and the two graphs that use them.
//!
//! Builds ggml graphs from a [`Config`](crate::config::Config) and placed weights. It knows
//! neither files nor devices: where weights come from and where graphs run is `runtime`'s matter.
//! The formulas are explained in docs/MODEL.md.

mod blocks;
pub mod decoder;
mod rotary;
pub mod vision;
mod weights;

pub use rotary::{text_periods, vision_periods};
pub use weights::{Attention, DecoderWeights, FeedForward, Layer, Linear, VisionWeights, Weights};
