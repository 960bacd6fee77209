//! Compiles the CPU kernels. ggml decides at compile time which instructions
//! they use, so on Linux they are compiled once per instruction set and all of
//! them go into the library; `shim/cpu_select.c` picks one when the program
//! runs. Elsewhere, and with the feature `native`, there is one build.

use std::env;
use std::path::PathBuf;

use crate::compile::{Arch, Context};
use crate::source::required;
use crate::variant::{self, Recompile, Variant};

/// ggml's CPU files and our own kernels, the slow ones first; `arch_files` gives
/// the rest.
const FILES: &[&str] = &[
    "ggml-cpu/ops.cpp",
    "ggml-cpu/llamafile/sgemm.cpp",
    "ggml-cpu/repack.cpp",
    "ggml-cpu/tiled/tiled.cpp",
    "ggml-cpu/binary-ops.cpp",
    "ggml-cpu/unary-ops.cpp",
    "shim/kernels/attention.cpp",
    "shim/kernels/gelu.cpp",
    "ggml-cpu/tiled/tiled-kernel.cpp",
    "ggml-cpu/ggml-cpu.cpp",
    "ggml-cpu/vec.cpp",
    "shim/kernels/matmul/matmul.cpp",
    "shim/kernels/matmul/few.cpp",
    "shim/kernels/hook.cpp", // in place of traits.cpp
    "ggml-cpu/amx/mmq.cpp",
    "ggml-cpu/amx/amx.cpp",
    "ggml-cpu/hbm.cpp",
    "ggml-cpu/ggml-cpu.c",
    "ggml-cpu/quants.c",
];

fn arch_files(arch: Arch) -> [&'static str; 2] {
    match arch {
        Arch::X86 => ["ggml-cpu/arch/x86/repack.cpp", "ggml-cpu/arch/x86/quants.c"],
        Arch::Arm => ["ggml-cpu/arch/arm/repack.cpp", "ggml-cpu/arch/arm/quants.c"],
    }
}

/// What the CPU files get beside the flags of the instruction set. Link-time
/// optimisation and unique symbols would both undo the variants' separation.
const FLAGS: &[&str] = &["-DGGML_USE_LLAMAFILE", "-DGGML_USE_CPU_REPACK", "-fno-lto"];

/// The objects of the kernels and of the functions that choose among them.
pub fn objects(context: &Context) -> Result<Vec<PathBuf>, String> {
    let native = env::var_os("CARGO_FEATURE_NATIVE").is_some();
    if native && required("HOST")? != required("TARGET")? {
        return Err(
            "the feature `native` compiles for the processor of this machine, but the \
                    target is another kind of machine; build without it"
                .to_owned(),
        );
    }
    match (native, context.arch) {
        (true, Arch::X86) => single(context, "native", &["-march=native"]),
        (true, Arch::Arm) => single(context, "native", &["-mcpu=native"]),
        (false, _) if required("CARGO_CFG_TARGET_OS")? == "linux" => all_variants(context),
        (false, _) => single(context, "default", &[]),
    }
}

fn files(arch: Arch) -> Vec<&'static str> {
    arch_files(arch)
        .into_iter()
        .chain(FILES.iter().copied())
        .collect()
}

fn single(context: &Context, name: &str, instruction_set: &[&str]) -> Result<Vec<PathBuf>, String> {
    let flags = [FLAGS, instruction_set].concat();
    let mut objects = context.objects("cpu", &files(context.arch), &flags)?;
    objects.extend(quantizer(context, "cpu", &flags)?);
    let name = format!("-DGGML_SYS_CPU_NAME=\"{name}\"");
    objects.extend(context.objects("cpu", &["shim/cpu_single.c"], &[&name])?);
    Ok(objects)
}

/// A variant with all its flags and the object of each of its files.
struct Built {
    variant: &'static Variant,
    flags: Vec<&'static str>,
    objects: Vec<PathBuf>,
}

/// Compiles every variant that the compiler knows, and the choice among them.
fn all_variants(context: &Context) -> Result<Vec<PathBuf>, String> {
    let mut built: Vec<Built> = Vec::new();
    for variant in variant::of(context.arch) {
        let parent = built
            .iter()
            .find(|b| Some(b.variant.name) == variant.extends);
        if !variant.adds.iter().all(|flag| context.knows_flag(flag)) {
            println!(
                "cargo::warning=the C++ compiler is too old for the CPU kernels `{}`; processors \
                 that could run them will use slower ones",
                variant.name
            );
            continue;
        }
        built.push(one_variant(context, variant, parent)?);
    }

    let mut linked = Vec::new();
    let mut list = String::new();
    for Built {
        variant,
        flags,
        objects,
    } in built.iter().rev()
    {
        let table = format!("-DGGML_SYS_CPU_TABLE={}", variant.table());
        let flags = [flags.as_slice(), &[&table]].concat();
        let group = group(variant);
        let shim = context.objects(&group, &["shim/cpu_variant.c"], &flags)?;
        let quantizer = quantizer(context, &group, &flags)?;
        linked.push(variant::link(
            context,
            variant,
            &[objects.as_slice(), &shim, &quantizer].concat(),
        )?);
        list.push_str(&format!(
            "VARIANT({}, \"{}\")\n",
            variant.id(),
            variant.name
        ));
    }
    context.write("cpu_variants.h", &list)?;
    linked.extend(context.objects("cpu", &["shim/cpu_select.c"], &[])?);
    Ok(linked)
}

/// Compiles what is new in a variant and takes the rest from its `parent`.
fn one_variant(
    context: &Context,
    variant: &'static Variant,
    parent: Option<&Built>,
) -> Result<Built, String> {
    let inherited = parent.map_or(FLAGS, |parent| &parent.flags);
    let mut flags = [inherited, variant.adds].concat();
    if parent.is_none() && context.knows_flag("-fno-gnu-unique") {
        flags.push("-fno-gnu-unique");
    }
    let all = files(context.arch);
    let objects = match (&variant.recompile, parent) {
        (Recompile::Only(changed), Some(parent)) => {
            let fresh = context.objects(&group(variant), changed, &flags)?;
            let fresh_of = |file| {
                changed
                    .iter()
                    .position(|c| c == file)
                    .map(|place| fresh[place].clone())
            };
            let pairs = all.iter().zip(&parent.objects);
            pairs
                .map(|(file, old)| fresh_of(file).unwrap_or_else(|| old.clone()))
                .collect()
        }
        _ => context.objects(&group(variant), &all, &flags)?,
    };
    Ok(Built {
        variant,
        flags,
        objects,
    })
}

/// The object of our own quantiser. Fused multiply-adds would give other bytes
/// than ggml's, which is compiled for processors without them.
fn quantizer(context: &Context, group: &str, flags: &[&str]) -> Result<Vec<PathBuf>, String> {
    let flags = [flags, &["-ffp-contract=off"]].concat();
    context.objects(group, &["shim/quantize/quantize.cpp"], &flags)
}

fn group(variant: &Variant) -> String {
    format!("cpu-{}", variant.name)
}
