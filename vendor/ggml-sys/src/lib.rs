//! Raw bindings to ggml 0.26: tensors, graphs, backends and the CPU kernels,
//! exactly as the C headers declare them, [`cpu`], the choice among the builds
//! of the CPU kernels, and [`quantize`], kernels of our own for writing K-quants, and
//! [`kernels`], the switch to kernels of our own for computing,
//! and [`rpc`], ggml's backend for other machines.
//! With the feature `cuda` also [`loadable`], what a loadable backend shows.
//! This crate owns the build of ggml and what depends on instruction sets:
//! whatever is safe or convenient belongs to its users.
//!
//! Callbacks given to ggml run with C frames around them, so none may unwind:
//! a panic that leaves an `extern "C"` function ends the process. ggml reports a
//! violated assumption to the callback of [`ggml_set_abort_callback`] and then
//! calls `abort` whatever the callback does, so that callback can only leave a
//! message behind.

pub mod cpu;
pub mod kernels;
#[cfg(feature = "cuda")]
pub mod loadable;
pub mod quantize;
pub mod rpc;

/// Which ggml this is: its version and where its source came from. A backend in a library of
/// its own shares structs with its user, so both must be of one build.
pub const BUILD: &str = env!("GGML_SYS_BUILD");

#[allow(
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]
mod bindings {
    #[cfg(feature = "bindgen")]
    include!(env!("GGML_SYS_GENERATED_BINDINGS"));
    #[cfg(not(feature = "bindgen"))]
    include!("bindings.rs");
}

pub use bindings::*;
