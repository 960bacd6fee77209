//! ggml's CUDA backend in a library of its own, so that one `pixtral` serves machines with and
//! without a GPU: it loads this library if it lies beside it and a driver is there.
//!
//! ```text
//! cargo rustc --release -p pixtral-cuda --features cuda --crate-type cdylib
//! ```
//!
//! makes `target/release/libpixtral_cuda.so`; docs/CUDA.md says what that needs. All code is in
//! `ggml-sys`, whose module `loadable` is what the library shows.

pub use ggml_sys::BUILD;
