//! Says where the finished library looks for cuBLAS: beside itself, then where it was linked with.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let unix = env::var_os("CARGO_CFG_UNIX").is_some();
    if env::var_os("CARGO_FEATURE_CUDA").is_none() || !unix {
        return;
    }
    println!("cargo::rustc-link-arg=-Wl,-rpath,$ORIGIN");
    if let Some(folder) = env::var_os("DEP_GGML_CUDA_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
    }
}
