//! Placement: which device holds and computes which part of a model.
//!
//! Owns the choice of devices, the measuring of what a model needs on them, the [`Plan`] made of
//! both, and the weights that are put where it says ([`PlacedModel`]). Deciding is a pure function
//! (`planner`). It knows the model's graphs and their sizes, nothing of sessions or text.

mod devices;
mod json;
mod measure;
mod placed_model;
mod placer;
mod plan;
mod planner;
#[cfg(test)]
mod planner_tests;

pub use devices::{DeviceChoice, PlacementOptions};
pub use json::device_json;
pub use placed_model::{PlacedModel, Uploaded};
pub use placer::Placer;
pub use plan::{DevicePlan, Plan};
pub use planner::{GpuLayers, Usage};
