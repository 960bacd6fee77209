//! A safe wrapper around the part of ggml that this project uses.
//!
//! Owns every `unsafe` call into ggml: tensors and graphs ([`Context`], [`Tensor`], [`Graph`]),
//! where their bytes live and what computes them ([`Buffer`], [`Device`], [`Backend`]), running them
//! ([`Scheduler`]), devices of other machines ([`Device::connect`], [`Server`]) and the quantisation
//! kernels ([`quantize`]). It knows nothing of model files, models or sessions.
//!
//! Ownership in one sentence: a [`Tensor`] keeps the [`Context`] it was made in alive, a context
//! keeps alive every context whose tensors its own tensors refer to and every buffer its tensors
//! live in, so a tensor that is still held can always be read.
//!
//! Shapes are in ggml's order throughout: `[ne0, ne1, ne2, ne3]`, `ne0` being contiguous. ggml
//! checks shapes with assertions that end the process, so callers build graphs only from sizes
//! that have been validated before.

mod backend;
mod buffer;
mod context;
mod cpu;
mod device;
mod graph;
mod loadable;
mod log;
mod ops;
pub mod quantize;
mod remote;
mod scheduler;
mod staging;
#[cfg(test)]
mod tests;
mod types;

pub use backend::{Backend, CancelFlag};
pub use buffer::Buffer;
pub use context::{Context, Tensor};
pub use cpu::cpu_variant;
pub use device::{Device, DeviceKind, Memory};
pub use graph::Graph;
pub use loadable::{LoadedBackend, loaded_backends};
pub use log::{LogLevel, LogSink, set_log_sink};
pub(crate) use ops::{Precision, Rope};
pub use remote::{Server, ServerEvent, ServerOptions};
pub use scheduler::{Observer, Scheduler};
pub use types::{Element, Type};
