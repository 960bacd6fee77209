//! Compiles ggml's CUDA backend with nvcc, and tells Cargo what it is linked with.
//! Needs NVIDIA's toolkit or the folder `nvidia/cu13` (or `cu12`) that its PyPI wheels
//! make together; a GPU only to find out which one to compile for. The result is meant for
//! a library of its own, which is loaded where there is a driver.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::compile::Context;
use crate::source::required;

/// Names the architectures to compile for, such as `80,86,120`, in place of this machine's.
const ARCHITECTURES: &str = "PIXTRAL_CUDA_ARCHITECTURES";

/// Names the only files to compile, such as `rope,norm`: what a check of the compiler needs.
/// The result cannot be linked.
const ONLY: &str = "GGML_SYS_CUDA_FILES";

/// Pairs of key and value types for which attention to few queries has kernels; other
/// pairs are converted first. The types of the key-value cache.
const ATTENTION_TYPES: &[&str] = &["f16", "q8_0", "q4_0"];

/// All types that ggml asks about, in its spelling.
const ALL_ATTENTION_TYPES: &[&str] = &["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "bf16", "f16"];

/// Files whose compiling takes minutes come first, to keep the cores busy to the end.
const SLOW: &[&str] = &["fattn-tile", "fattn-mma", "mmq", "fattn-vec", "mmvq", "mmf"];

/// Functions of the driver that the backend calls. The driver's library is not there when
/// compiling, so it is linked with an empty one of the same name.
const DRIVER_FUNCTIONS: &[&str] = &[
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuGetErrorString",
    "cuMemAddressFree",
    "cuMemAddressReserve",
    "cuMemCreate",
    "cuMemGetAllocationGranularity",
    "cuMemMap",
    "cuMemRelease",
    "cuMemSetAccess",
    "cuMemUnmap",
];

/// The objects of the backend.
pub fn objects(context: &Context) -> Result<Vec<PathBuf>, String> {
    let nvcc = find_nvcc()?;
    let mut build = cc::Build::new();
    build
        .compiler(&nvcc)
        // The usual ones are the C++ compiler's; nvcc has its own words for some.
        .no_default_flags(true)
        .warnings(false)
        .out_dir(context.out.join("cuda"))
        .include(context.source.include())
        .include(context.source.src())
        .define("NDEBUG", None)
        .define("GGML_SCHED_MAX_COPIES", "4")
        .define("GGML_CUDA_USE_GRAPHS", None)
        .flags([
            "-std=c++17",
            "-O3",
            "-w",
            "-use_fast_math",
            "-extended-lambda",
        ])
        .flags(["-Xcompiler", "-fPIC", "-Xcompiler", "-fvisibility=hidden"]);
    for flag in architecture_flags(&nvcc)? {
        build.flag(flag);
    }
    for k in ALL_ATTENTION_TYPES {
        for v in ALL_ATTENTION_TYPES {
            let compiled = k == v && ATTENTION_TYPES.contains(k);
            let name = format!("GGML_CUDA_FA_{}_{}", k.to_uppercase(), v.to_uppercase());
            build.define(&name, if compiled { "1" } else { "0" });
        }
    }
    build.files(files(&context.source.src().join("ggml-cuda"))?);
    let objects = build
        .try_compile_intermediates()
        .map_err(|e| e.to_string())?;
    link(context, &nvcc)?;
    Ok(objects)
}

/// ggml's list of files: everything but the instances of attention kernels for types that
/// are not wanted.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = cu_files(folder)?;
    let wanted: Vec<String> = ATTENTION_TYPES
        .iter()
        .map(|ty| format!("fattn-vec-instance-{ty}-{ty}"))
        .collect();
    files.extend(
        cu_files(&folder.join("template-instances"))?
            .into_iter()
            .filter(|path| {
                let name = stem(path);
                !name.starts_with("fattn-vec") || wanted.contains(&name)
            }),
    );
    println!("cargo::rerun-if-env-changed={ONLY}");
    if let Ok(only) = env::var(ONLY) {
        files.retain(|path| only.split(',').any(|name| name == stem(path)));
    }
    files.sort_by_key(|path| {
        let name = stem(path);
        let slow = SLOW.iter().position(|prefix| name.starts_with(prefix));
        (slow.unwrap_or(SLOW.len()), name)
    });
    Ok(files)
}

fn cu_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        fs::read_dir(folder).map_err(|e| format!("{}: cannot be read ({e})", folder.display()))?;
    Ok(entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "cu"))
        .collect())
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// `NVCC`, then the toolkit's folder in `CUDA_PATH`, then the search path, then the place
/// where the toolkit is installed by default.
fn find_nvcc() -> Result<PathBuf, String> {
    for variable in ["NVCC", "CUDA_PATH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if let Some(nvcc) = env::var_os("NVCC") {
        return Ok(nvcc.into());
    }
    let on_path = env::var_os("PATH").unwrap_or_default();
    env::var_os("CUDA_PATH")
        .map(|root| PathBuf::from(root).join("bin"))
        .into_iter()
        .chain(env::split_paths(&on_path))
        .chain([PathBuf::from("/usr/local/cuda/bin")])
        .map(|folder| folder.join(format!("nvcc{}", env::consts::EXE_SUFFIX)))
        .find(|nvcc| nvcc.is_file())
        .ok_or_else(|| {
            "NVIDIA's compiler nvcc was not found; install the CUDA toolkit (or the PyPI wheels \
             that docs/CUDA.md names) and set CUDA_PATH to its folder"
                .to_owned()
        })
}

/// What nvcc is told of the GPUs to compile for.
fn architecture_flags(nvcc: &Path) -> Result<Vec<String>, String> {
    println!("cargo::rerun-if-env-changed={ARCHITECTURES}");
    let mut architectures: Vec<String> = match env::var(ARCHITECTURES) {
        Ok(list) => list.split(',').map(|one| one.trim().to_owned()).collect(),
        Err(_) => this_machine_s().ok_or_else(|| {
            format!(
                "there is no NVIDIA GPU here to compile for (nvidia-smi names none); set \
                 {ARCHITECTURES} to the compute capabilities wanted, such as 75,80,86,89,90"
            )
        })?,
    };
    architectures.sort();
    architectures.dedup();
    if let Some(bad) = architectures.iter().find(|one| !is_architecture(one)) {
        return Err(format!(
            "{ARCHITECTURES}: {bad:?} is no compute capability, expected numbers such as 86 or 90"
        ));
    }
    let mut flags: Vec<String> = architectures
        .iter()
        .map(|one| format!("-gencode=arch=compute_{one},code=sm_{one}"))
        .collect();
    if supports(nvcc, "-compress-mode=size")? {
        flags.push("-compress-mode=size".to_owned());
    }
    Ok(flags)
}

/// Digits and, for kernels of one chip only, a letter: `90`, `120a`.
fn is_architecture(text: &str) -> bool {
    let digits = text.trim_end_matches(['a', 'f']);
    (2..=3).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && text.len() - digits.len() <= 1
}

/// The compute capabilities of this machine's GPUs: `8.6` becomes `86`. Kernels for the
/// number formats of Blackwell exist in its own architectures only.
fn this_machine_s() -> Option<Vec<String>> {
    let output = Command::new("nvidia-smi")
        .args(["--query-gpu=compute_cap", "--format=csv,noheader"])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let found: Vec<String> = text
        .lines()
        .map(|line| line.trim().replace('.', ""))
        .map(|one| {
            if one.starts_with("12") {
                one + "a"
            } else {
                one
            }
        })
        .collect();
    (!found.is_empty()).then_some(found)
}

/// Whether nvcc knows a flag, by its help: releases before 12.8 do not compress.
fn supports(nvcc: &Path, flag: &str) -> Result<bool, String> {
    let output = Command::new(nvcc)
        .arg("--help")
        .output()
        .map_err(|e| format!("{}: cannot be run ({e})", nvcc.display()))?;
    let name = flag.split('=').next().unwrap_or(flag);
    Ok(String::from_utf8_lossy(&output.stdout).contains(name))
}

/// The toolkit's libraries, its runtime inside ours and cuBLAS (hundreds of megabytes)
/// beside it, and the driver's.
fn link(context: &Context, nvcc: &Path) -> Result<(), String> {
    let root = nvcc
        .parent()
        .and_then(Path::parent)
        .unwrap_or(Path::new("/"));
    let arch = required("CARGO_CFG_TARGET_ARCH")?;
    let platform = if arch == "aarch64" {
        "sbsa-linux".to_owned()
    } else {
        format!("{arch}-linux")
    };
    let folders: Vec<PathBuf> = [
        "lib64".to_owned(),
        "lib".to_owned(),
        "lib/x64".to_owned(),
        format!("targets/{platform}/lib"),
    ]
    .iter()
    .map(|folder| root.join(folder))
    .filter(|folder| folder.is_dir())
    .collect();
    for folder in &folders {
        println!("cargo::rustc-link-search=native={}", folder.display());
        println!("cargo::metadata=cuda_lib={}", folder.display());
    }
    println!("cargo::rustc-link-lib=static=cudart_static");
    if required("CARGO_CFG_TARGET_OS")? == "windows" {
        println!("cargo::rustc-link-lib=dylib=cublas");
        println!("cargo::rustc-link-lib=dylib=cuda");
        return Ok(());
    }
    let cublas = find_cublas(&folders).unwrap_or_else(|| "libcublas.so".to_owned());
    println!("cargo::rustc-link-lib=dylib:+verbatim={cublas}");
    println!(
        "cargo::rustc-link-search=native={}",
        driver(context)?.display()
    );
    for library in ["cuda", "rt", "dl", "pthread"] {
        println!("cargo::rustc-link-lib=dylib={library}");
    }
    Ok(())
}

/// The wheels hold `libcublas.so.13` without the plain name.
fn find_cublas(folders: &[PathBuf]) -> Option<String> {
    let mut names: Vec<String> = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("libcublas.so"))
        .collect();
    names.sort();
    names.into_iter().next()
}

/// Makes an empty library with the name and the functions of the driver's.
fn driver(context: &Context) -> Result<PathBuf, String> {
    let folder = context.out.join("driver");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let functions: String = DRIVER_FUNCTIONS
        .iter()
        .map(|name| format!("int {name}(void) {{ return 0; }}\n"))
        .collect();
    context.write("driver/cuda.c", &functions)?;
    let mut command = context.compiler(false).get_compiler().to_command();
    command
        .args(["-shared", "-Wl,-soname,libcuda.so.1", "-o"])
        .args([folder.join("libcuda.so"), folder.join("cuda.c")]);
    match command.status() {
        Ok(status) if status.success() => Ok(folder),
        outcome => Err(format!("{command:?} failed: {outcome:?}")),
    }
}
