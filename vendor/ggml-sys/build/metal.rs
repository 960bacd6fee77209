//! Compiles ggml's Metal backend (macOS, iOS) with its kernels' source inside, which the
//! system compiles when it is first used. ggml's CMake build does the same under
//! `GGML_METAL_EMBED_LIBRARY`.

use std::path::{Path, PathBuf};

use crate::compile::Context;
use crate::metal_source;

const FILES: &[&str] = &[
    "ggml-metal/ggml-metal.cpp",
    "ggml-metal/ggml-metal-device.m",
    "ggml-metal/ggml-metal-device.cpp",
    "ggml-metal/ggml-metal-common.cpp",
    "ggml-metal/ggml-metal-context.m",
    "ggml-metal/ggml-metal-fusion.cpp",
    "ggml-metal/ggml-metal-ops.cpp",
    "ggml-metal/ggml-metal-tuning.cpp",
];

/// The objects of the backend.
pub fn objects(context: &Context) -> Result<Vec<PathBuf>, String> {
    let mut objects = context.objects("metal", FILES, &["-DGGML_METAL_EMBED_LIBRARY"])?;
    let sections = embed(context)?;
    let sections: Vec<&str> = sections.iter().map(String::as_str).collect();
    objects.extend(context.objects("metal", &sections, &[])?);
    for framework in ["Foundation", "Metal", "MetalKit"] {
        println!("cargo::rustc-link-lib=framework={framework}");
    }
    Ok(objects)
}

/// Writes each kernel file as one self-contained text, and assembly that holds it between
/// the two symbols by which the backend finds it. Returns the assembly's paths.
fn embed(context: &Context) -> Result<Vec<String>, String> {
    let source = context.source.src();
    let mut sections = Vec::new();
    for kernel in metal_source::kernels(&source)? {
        let text = format!("ggml-metal-{kernel}.metal");
        context.write(&text, &metal_source::merged(&source, &kernel)?)?;
        let assembly = format!("ggml-metal-{kernel}.s");
        context.write(&assembly, &section(&kernel, &context.out.join(&text)))?;
        let path = context.out.join(&assembly).into_os_string();
        sections.push(
            path.into_string()
                .map_err(|path| format!("{}: the path is not UTF-8", path.display()))?,
        );
    }
    Ok(sections)
}

fn section(name: &str, text: &Path) -> String {
    let (start, end) = (
        format!("_ggml_metallib_{name}_start"),
        format!("_ggml_metallib_{name}_end"),
    );
    format!(
        ".section __DATA,__ggml_metallib\n\
         .globl {start}\n{start}:\n\
         .incbin \"{}\"\n\
         .globl {end}\n{end}:\n",
        text.display()
    )
}
