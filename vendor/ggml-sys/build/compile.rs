//! Compiles ggml's files to objects and puts them into one archive. The flags
//! are those of ggml's own CMake build, less OpenMP.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::source::{Source, required};

const BASE_C: &[&str] = &["ggml.c", "ggml-alloc.c", "ggml-quants.c"];
const BASE_CPP: &[&str] = &[
    "ggml-backend-meta.cpp",
    "ggml-backend.cpp",
    "ggml-backend-reg.cpp",
    "gguf.cpp",
    "ggml-opt.cpp",
    "ggml-backend-dl.cpp",
    "ggml-threading.cpp",
    "ggml.cpp",
];

const CPU_C: &[&str] = &["ggml-cpu/ggml-cpu.c", "ggml-cpu/quants.c"];
const CPU_CPP: &[&str] = &[
    "ggml-cpu/ops.cpp",
    "ggml-cpu/llamafile/sgemm.cpp",
    "ggml-cpu/repack.cpp",
    "ggml-cpu/tiled/tiled-kernel.cpp",
    "ggml-cpu/binary-ops.cpp",
    "ggml-cpu/unary-ops.cpp",
    "ggml-cpu/tiled/tiled.cpp",
    "ggml-cpu/amx/mmq.cpp",
    "ggml-cpu/ggml-cpu.cpp",
    "ggml-cpu/vec.cpp",
    "ggml-cpu/amx/amx.cpp",
    "ggml-cpu/traits.cpp",
    "ggml-cpu/hbm.cpp",
];

pub fn compile(source: &Source) -> Result<(), String> {
    let out = PathBuf::from(required("OUT_DIR")?);
    write_version_header(source, &out)?;
    let arch = match required("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => "x86",
        "aarch64" => "arm",
        other => {
            return Err(format!(
                "the CPU architecture {other} is not supported; x86_64 and aarch64 are"
            ));
        }
    };

    let src = source.src();
    let paths = |files: &[&str]| files.iter().map(|file| src.join(file)).collect::<Vec<_>>();
    let mut objects = Vec::new();

    let mut base_c = compiler(source, &out, false);
    let mut base_cpp = compiler(source, &out, true);
    base_cpp.define("GGML_USE_CPU", None);
    objects.extend(base_c.files(paths(BASE_C)).compile_intermediates());
    objects.extend(base_cpp.files(paths(BASE_CPP)).compile_intermediates());

    for cpp in [false, true] {
        let mut cpu = compiler(source, &out, cpp);
        cpu.include(src.join("ggml-cpu"))
            .define("GGML_USE_LLAMAFILE", None)
            .define("GGML_USE_CPU_REPACK", None)
            .flag_if_supported("-march=native");
        let specific = if cpp { "repack.cpp" } else { "quants.c" };
        cpu.file(src.join(format!("ggml-cpu/arch/{arch}/{specific}")));
        objects.extend(
            cpu.files(paths(if cpp { CPU_CPP } else { CPU_C }))
                .compile_intermediates(),
        );
    }

    cc::Build::new()
        .cpp(true)
        .objects(objects)
        .try_compile("ggml")
        .map_err(|e| e.to_string())
}

/// A compiler with the flags that every file of ggml gets.
fn compiler(source: &Source, out: &Path, cpp: bool) -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cpp(cpp)
        .std(if cpp { "c++17" } else { "c11" })
        // Kernels without optimisation are of no use even to a debugger, and
        // their debug information is larger than everything else together.
        .opt_level(3)
        .debug(false)
        .pic(true)
        .warnings(false)
        .include(out)
        .include(source.include())
        .include(source.src())
        .define("NDEBUG", None)
        .define("GGML_SCHED_MAX_COPIES", "4")
        .define("_XOPEN_SOURCE", "600");
    match env::var("CARGO_CFG_TARGET_VENDOR").as_deref() {
        Ok("apple") => build.define("_DARWIN_C_SOURCE", None),
        _ => build.define("_GNU_SOURCE", None),
    };
    build
}

fn write_version_header(source: &Source, out: &Path) -> Result<(), String> {
    let path = out.join("ggml-version.h");
    let text = format!(
        "#define GGML_VERSION \"{}\"\n#define GGML_COMMIT \"{}\"\n",
        source.version(),
        source.origin()
    );
    fs::write(&path, text).map_err(|e| format!("{}: cannot be written ({e})", path.display()))
}
