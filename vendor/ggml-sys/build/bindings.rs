//! Generates the Rust declarations of ggml's public headers. The committed
//! `src/bindings.rs` is this module's output; `tests/bindings.rs` holds the two together.

use std::path::PathBuf;

use bindgen::{Builder, Formatter, RustEdition};

use crate::source::{Source, required};

pub fn generate(source: &Source) -> Result<(), String> {
    let path = PathBuf::from(required("OUT_DIR")?).join("bindings.rs");
    let bindings = Builder::default()
        .header("wrapper.h")
        .clang_arg(format!("-I{}", source.include().display()))
        .allowlist_item("ggml_.*|gguf_.*|GGML_.*|GGUF_.*")
        .prepend_enum_name(false)
        .generate_comments(false)
        .use_core()
        .rust_edition(RustEdition::Edition2024)
        .formatter(Formatter::Prettyplease)
        .generate()
        .map_err(|e| format!("the bindings cannot be generated: {e}"))?;
    bindings
        .write_to_file(&path)
        .map_err(|e| format!("{}: cannot be written ({e})", path.display()))?;
    println!(
        "cargo::rustc-env=GGML_SYS_GENERATED_BINDINGS={}",
        path.display()
    );
    Ok(())
}
