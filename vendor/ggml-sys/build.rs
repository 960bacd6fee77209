//! Builds ggml into one static archive. Needs a C and a C++ compiler; neither
//! CMake nor libclang.

#[path = "build/compile.rs"]
mod compile;
#[path = "build/cpu.rs"]
mod cpu;
#[cfg(feature = "cuda")]
#[path = "build/cuda.rs"]
mod cuda;
#[cfg(feature = "metal")]
#[path = "build/metal.rs"]
mod metal;
#[cfg(feature = "metal")]
#[path = "build/metal_source.rs"]
mod metal_source;
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
    println!(
        "cargo::rustc-env=GGML_SYS_BUILD={} ({})",
        source.version(),
        source.origin()
    );
    println!(
        "cargo::rustc-env=GGML_SYS_SOURCE={}",
        source.src().display()
    );
    #[cfg(feature = "bindgen")]
    bindings::generate(&source)?;
    compile::compile(&source)
}
