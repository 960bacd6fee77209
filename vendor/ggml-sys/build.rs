//! Builds ggml into one static archive. Needs a C and a C++ compiler; neither
//! CMake nor libclang.

#[path = "build/compile.rs"]
mod compile;
#[path = "build/cpu.rs"]
mod cpu;
#[path = "build/source.rs"]
mod source;
#[path = "build/variant.rs"]
mod variant;

#[cfg(feature = "bindgen")]
#[path = "build/bindings.rs"]
mod bindings;

fn main() {
    for input in ["build.rs", "build", "shim", "wrapper.h"] {
        println!("cargo::rerun-if-changed={input}");
    }
    if let Err(message) = build() {
        println!("cargo::error={message}");
        std::process::exit(1);
    }
}

fn build() -> Result<(), String> {
    let source = source::find()?;
    #[cfg(feature = "bindgen")]
    bindings::generate(&source)?;
    compile::compile(&source)
}
