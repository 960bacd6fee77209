//! Compiles files of ggml to objects, with the flags of ggml's own CMake build
//! less OpenMP, and puts everything into one archive. Knows the files that are
//! the same for every processor; `cpu.rs` knows the kernels.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cpu;
#[cfg(feature = "cuda")]
use crate::cuda;
#[cfg(feature = "metal")]
use crate::metal;
use crate::source::{Source, required};

/// All but the kernels, the slow ones first to keep the cores busy to the end.
const BASE: &[&str] = &[
    "ggml-quants.c",
    "ggml-backend-meta.cpp",
    "ggml.c",
    "gguf.cpp",
    "ggml-backend.cpp",
    "ggml-backend-reg.cpp",
    "ggml-opt.cpp",
    "ggml-alloc.c",
    "ggml-backend-dl.cpp",
    "ggml-threading.cpp",
    "ggml.cpp",
];

/// The processor families whose kernels this build knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    X86,
    Arm,
}

/// What every step of the build needs to know.
pub struct Context<'a> {
    pub source: &'a Source,
    pub arch: Arch,
    /// The folder of this package.
    pub package: PathBuf,
    /// Cargo's folder for this build's output.
    pub out: PathBuf,
}

/// Builds the library and tells Cargo to link it.
pub fn compile(source: &Source) -> Result<(), String> {
    let arch = match required("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => Arch::X86,
        "aarch64" => Arch::Arm,
        other => {
            return Err(format!(
                "{other} processors are not supported; x86_64 and aarch64 are"
            ));
        }
    };
    if cfg!(feature = "metal") && required("CARGO_CFG_TARGET_VENDOR")? != "apple" {
        return Err("the feature `metal` is for Apple's systems; build without it".to_owned());
    }
    let context = Context {
        source,
        arch,
        package: PathBuf::from(required("CARGO_MANIFEST_DIR")?),
        out: PathBuf::from(required("OUT_DIR")?),
    };
    context.write_version_header()?;

    // The registry lists the backends that it is compiled with; CUDA's is loaded instead.
    let mut backends = vec!["-DGGML_USE_CPU"];
    if cfg!(feature = "metal") {
        backends.push("-DGGML_USE_METAL");
    }
    let mut objects = context.objects("base", BASE, &backends)?;
    objects.extend(context.objects("rpc", &["shim/rpc.cpp"], &[])?);
    objects.extend(cpu::objects(&context)?);
    #[cfg(feature = "cuda")]
    objects.extend(cuda::objects(&context)?);
    #[cfg(feature = "metal")]
    objects.extend(metal::objects(&context)?);
    let mut archive = cc::Build::new();
    archive
        .cpp(true)
        .objects(objects)
        .try_compile("ggml")
        .map_err(|e| e.to_string())?;
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("windows") {
        println!("cargo::rustc-link-lib=advapi32");
    }
    Ok(())
}

impl Context<'_> {
    /// Compiles `files`, named as for [`path_of`](Self::path_of), with extra
    /// `flags`. The objects lie in the folder `group` of the output and come in
    /// the order of the files.
    pub fn objects(
        &self,
        group: &str,
        files: &[&str],
        flags: &[&str],
    ) -> Result<Vec<PathBuf>, String> {
        let (cpp, c): (Vec<&str>, Vec<&str>) =
            files.iter().partition(|file| file.ends_with(".cpp"));
        let dir = self.out.join(group);
        let mut cpp_objects = self
            .compile_with(&self.compiler(true), &dir, &cpp, flags)?
            .into_iter();
        let mut c_objects = self
            .compile_with(&self.compiler(false), &dir, &c, flags)?
            .into_iter();
        let ordered = files.iter().filter_map(|file| {
            if file.ends_with(".cpp") {
                cpp_objects.next()
            } else {
                c_objects.next()
            }
        });
        Ok(ordered.collect())
    }

    /// A file of this package (`shim/…`) or of ggml's source folder.
    fn path_of(&self, file: &str) -> PathBuf {
        if file.starts_with("shim/") {
            self.package.join(file)
        } else {
            self.source.src().join(file)
        }
    }

    /// Whether the compiler accepts a flag.
    pub fn knows_flag(&self, flag: &str) -> bool {
        self.compiler(true).is_flag_supported(flag).unwrap_or(false)
    }

    fn compile_with(
        &self,
        compiler: &cc::Build,
        dir: &Path,
        files: &[&str],
        flags: &[&str],
    ) -> Result<Vec<PathBuf>, String> {
        let mut build = compiler.clone();
        build
            .out_dir(dir)
            .files(files.iter().map(|file| self.path_of(file)));
        for flag in flags {
            build.flag(flag);
        }
        build.try_compile_intermediates().map_err(|e| e.to_string())
    }

    /// A compiler with the flags that every file gets.
    pub fn compiler(&self, cpp: bool) -> cc::Build {
        let mut build = cc::Build::new();
        build
            .cpp(cpp)
            .std(if cpp { "c++17" } else { "c11" })
            // Kernels without optimisation are of no use even to a debugger,
            // and their debug information is larger than all the rest.
            .opt_level(3)
            .debug(false)
            .pic(true)
            .warnings(false)
            .include(&self.out)
            .include(self.source.include())
            .include(self.source.src())
            .include(self.source.src().join("ggml-cpu"))
            .define("NDEBUG", None)
            .define("GGML_SCHED_MAX_COPIES", "4")
            .define("_XOPEN_SOURCE", "600");
        match env::var("CARGO_CFG_TARGET_VENDOR").as_deref() {
            Ok("apple") => build.define("_DARWIN_C_SOURCE", None),
            _ => build.define("_GNU_SOURCE", None),
        };
        let is = |variable, value| env::var(variable).as_deref() == Ok(value);
        if is("CARGO_CFG_TARGET_OS", "windows") && is("CARGO_CFG_TARGET_ENV", "gnu") {
            // Windows 7's interfaces do. ggml asks later ones to leave a thread's clock alone, by a
            // type that MinGW-w64 10 lacks.
            build.define("_WIN32_WINNT", "0x0601");
        }
        build
    }

    /// Writes a generated file into the output folder, which is on the include
    /// path.
    pub fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.out.join(name);
        fs::write(&path, text).map_err(|e| format!("{}: cannot be written ({e})", path.display()))
    }

    fn write_version_header(&self) -> Result<(), String> {
        let (version, origin) = (self.source.version(), self.source.origin());
        self.write(
            "ggml-version.h",
            &format!("#define GGML_VERSION \"{version}\"\n#define GGML_COMMIT \"{origin}\"\n"),
        )
    }
}
