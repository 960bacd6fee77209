//! Raw bindings to ggml 0.26: tensors, graphs, backends and the CPU kernels,
//! exactly as the C headers declare them, [`cpu`], the choice among the builds
//! of the CPU kernels, and [`rpc`], its backend for other machines. This crate
//! owns the build of ggml and nothing else: whatever is safe or convenient
//! belongs to its users.
//!
//! Callbacks given to ggml run with C frames around them, so none may unwind:
//! a panic that leaves an `extern "C"` function ends the process. ggml reports a
//! violated assumption to the callback of [`ggml_set_abort_callback`] and then
//! calls `abort` whatever the callback does, so that callback can only leave a
//! message behind.

pub mod cpu;
pub mod rpc;

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
