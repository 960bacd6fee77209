//! Raw bindings to ggml 0.26: tensors, graphs, backends and the CPU kernels,
//! exactly as the C headers declare them. This crate owns the build of ggml and
//! nothing else: whatever is safe or convenient belongs to its users.

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
