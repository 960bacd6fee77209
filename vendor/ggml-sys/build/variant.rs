//! The instruction sets that the CPU kernels are compiled for, and the linking
//! of one build of them into a single object that does not collide with the
//! others. Which of them a processor runs is asked in `shim/cpu_features.h`.

use std::path::PathBuf;
use std::process::Command;

use crate::compile::{Arch, Context};

/// One instruction set.
pub struct Variant {
    /// As users write it in `PIXTRAL_CPU`.
    pub name: &'static str,
    /// The variant that this one adds instructions to, earlier in the list.
    pub extends: Option<&'static str>,
    /// The compiler's flags for the instructions added.
    pub adds: &'static [&'static str],
    pub recompile: Recompile,
}

/// Which files have to be compiled for a variant.
pub enum Recompile {
    All,
    /// Only these look at the instructions added; for the others the objects of
    /// the variant extended will do, which saves most of the time.
    Only(&'static [&'static str]),
}

const X86: &[Variant] = &[
    Variant {
        name: "baseline",
        extends: None,
        adds: &[],
        recompile: Recompile::All,
    },
    Variant {
        name: "avx2",
        extends: Some("baseline"),
        adds: &["-mavx2", "-mfma", "-mf16c", "-mbmi2"],
        recompile: Recompile::All,
    },
    Variant {
        name: "avx2-vnni",
        extends: Some("avx2"),
        adds: &["-mavxvnni"],
        recompile: Recompile::Only(&[
            "ggml-cpu/arch/x86/quants.c",
            "ggml-cpu/arch/x86/repack.cpp",
            "ggml-cpu/llamafile/sgemm.cpp",
            "ggml-cpu/ggml-cpu.c",
        ]),
    },
    Variant {
        name: "avx512",
        extends: Some("avx2"),
        adds: &[
            "-mavx512f",
            "-mavx512cd",
            "-mavx512bw",
            "-mavx512dq",
            "-mavx512vl",
            "-mavx512vnni",
        ],
        recompile: Recompile::All,
    },
    Variant {
        name: "avx512-bf16",
        extends: Some("avx512"),
        adds: &["-mavx512bf16"],
        recompile: Recompile::Only(&[
            "ggml-cpu/llamafile/sgemm.cpp",
            "ggml-cpu/vec.cpp",
            "ggml-cpu/ggml-cpu.c",
            "shim/kernels/attention.cpp",
        ]),
    },
];

/// On ARM a later `-march` replaces an earlier one, so each states everything.
const ARM: &[Variant] = &[
    Variant {
        name: "baseline",
        extends: None,
        adds: &["-march=armv8-a"],
        recompile: Recompile::All,
    },
    Variant {
        name: "dotprod",
        extends: Some("baseline"),
        adds: &["-march=armv8.2-a+dotprod+fp16"],
        recompile: Recompile::All,
    },
    Variant {
        name: "i8mm",
        extends: Some("dotprod"),
        adds: &["-march=armv8.2-a+dotprod+fp16+i8mm"],
        recompile: Recompile::Only(&[
            "ggml-cpu/arch/arm/quants.c",
            "ggml-cpu/arch/arm/repack.cpp",
            "ggml-cpu/ggml-cpu.c",
            "shim/kernels/matmul/matmul.cpp",
        ]),
    },
];

/// The variants of a processor family, from the one that all can run to the
/// best.
pub fn of(arch: Arch) -> &'static [Variant] {
    match arch {
        Arch::X86 => X86,
        Arch::Arm => ARM,
    }
}

impl Variant {
    /// The name as part of a C identifier.
    pub fn id(&self) -> String {
        self.name.replace('-', "_")
    }

    /// The symbol of the table of functions that the variant exports.
    pub fn table(&self) -> String {
        format!("ggml_sys_cpu_{}", self.id())
    }
}

/// Links the objects of one variant into one in which only its table can be
/// seen from outside. Functions defined inline in headers need it most: every
/// variant has its own copy of them, compiled with its own instructions, and a
/// linker left alone keeps any one for all.
pub fn link(context: &Context, variant: &Variant, parts: &[PathBuf]) -> Result<PathBuf, String> {
    let joined = context.out.join(format!("cpu-{}-joined.o", variant.name));
    let linked = context.out.join(format!("cpu-{}.o", variant.name));
    let compiler = context.compiler(false).get_compiler();

    let mut join = compiler.to_command();
    // Groups mark code of which the final linker keeps one copy; here each copy
    // has to stay.
    join.args(["-r", "-nostdlib", "-Wl,--force-group-allocation", "-o"])
        .arg(&joined)
        .args(parts);
    run(join)?;

    let mut hide = Command::new(objcopy(&compiler));
    hide.arg(format!("--keep-global-symbol={}", variant.table()))
        .args([&joined, &linked]);
    run(hide)?;
    Ok(linked)
}

/// The `objcopy` that belongs to the compiler: for a cross compiler it is not
/// the machine's own.
fn objcopy(compiler: &cc::Tool) -> String {
    println!("cargo::rerun-if-env-changed=OBJCOPY");
    if let Ok(tool) = std::env::var("OBJCOPY") {
        return tool;
    }
    compiler
        .to_command()
        .arg("-print-prog-name=objcopy")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "objcopy".to_owned())
}

fn run(mut command: Command) -> Result<(), String> {
    let output = command.output().map_err(|e| {
        format!(
            "{} cannot be run ({e}); install the GNU binutils of the target, name its objcopy in \
             OBJCOPY, or build with the feature `native`, which does without",
            command.get_program().display()
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{command:?} failed ({}): {}",
        output.status,
        complaint.trim().replace('\n', "; ")
    ))
}
