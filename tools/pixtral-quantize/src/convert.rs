//! `pixtral-quantize TYPE CHECKPOINT`: the conversion itself.

use crate::{
    recipe::{RecipeArgs, tensor_type},
    work,
};
use clap::Args;
use pixtral::{
    Error, ErrorKind, Result,
    checkpoint::Checkpoint,
    gguf::{TensorType, free_space, partial_path},
    quantize::{QuantizeOptions, Report, preview, quantize},
};
use pixtral_terminal::{Interrupt, out, outln};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

/// What to convert, and how. The recipe's own arguments stand beside these: clap cannot tell
/// whether an optional group is given if it contains another.
#[derive(Args, Debug)]
pub struct ConvertArgs {
    /// Type of the weights; those below q8_0 are mixtures, which keep sensitive tensors at more bits
    #[arg(value_name = "TYPE", value_parser = tensor_type())]
    ty: TensorType,
    /// Folder of the checkpoint
    checkpoint: PathBuf,
    /// File to write [default: <CHECKPOINT's name>-<TYPE>.gguf in the current folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace the file if it exists
    #[arg(long)]
    overwrite: bool,
    /// Begin anew where an interrupted run could be resumed
    #[arg(long)]
    no_resume: bool,
    /// Threads that quantise [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command. `interrupt` leaves an unfinished file, which the same command resumes.
pub fn run(args: &ConvertArgs, recipe: &RecipeArgs, interrupt: &Interrupt) -> Result<()> {
    let recipe = recipe.recipe(args.ty)?;
    let checkpoint = Checkpoint::open(&args.checkpoint)?;
    let output = match &args.output {
        Some(path) => path.clone(),
        None => default_output(&args.checkpoint, args.ty)?,
    };
    if args.dry_run {
        let report = preview(&checkpoint, &recipe)?;
        return print_plan(args, &report, &output);
    }
    let options = QuantizeOptions {
        overwrite: args.overwrite,
        resume: !args.no_resume,
        n_threads: args.threads.map(|n| n as usize),
    };
    let start = Instant::now();
    let result = work::run(&output, interrupt, |hear| {
        quantize(&checkpoint, &output, &recipe, &options, hear)
    });
    let report = result.map_err(|e| explain_cancel(e, &output))?;
    print_report(args.json, &report, &output, start)
}

/// Prints the report of a file that was written, as text or JSON.
pub fn print_report(as_json: bool, report: &Report, output: &Path, start: Instant) -> Result<()> {
    let seconds = start.elapsed().as_secs_f64();
    if as_json {
        let mut object = to_json(report, output)?;
        object["seconds"] = json!(seconds);
        outln!("{object}")
    } else {
        out!("{report}")?;
        outln!("{} written in {seconds:.1} s", output.display())
    }
}

fn print_plan(args: &ConvertArgs, report: &Report, output: &Path) -> Result<()> {
    let free = free_space(output)?;
    if args.json {
        let mut object = to_json(report, output)?;
        object["free_bytes"] = json!(free);
        outln!("{object}")
    } else {
        out!("{report}")?;
        outln!(
            "{} would be written; {:.2} GB are free there",
            output.display(),
            free as f64 / 1e9
        )
    }
}

fn to_json(report: &Report, output: &Path) -> Result<serde_json::Value> {
    let mut object = serde_json::to_value(report)
        .map_err(|e| Error::new(ErrorKind::Internal, format!("the report is not JSON: {e}")))?;
    object["file"] = json!(output);
    Ok(object)
}

/// `<name of the checkpoint's folder>-<type>.gguf` in the current folder.
fn default_output(checkpoint: &Path, ty: TensorType) -> Result<PathBuf> {
    // "." and ".." have names only when resolved.
    let full = fs::canonicalize(checkpoint).map_err(|e| Error::io(checkpoint, "read", e))?;
    let folder = match full.is_dir() {
        true => full.as_path(),
        false => full.parent().unwrap_or(&full),
    };
    let mut name = folder.file_name().unwrap_or("pixtral".as_ref()).to_owned();
    name.push(format!("-{ty}.gguf"));
    Ok(name.into())
}

/// Says how to go on after an interrupt.
fn explain_cancel(e: Error, output: &Path) -> Error {
    if e.kind() != ErrorKind::Cancelled {
        return e;
    }
    let partial = partial_path(output);
    Error::new(
        ErrorKind::Cancelled,
        format!(
            "{} is unfinished; run the same command again to resume it",
            partial.display()
        ),
    )
}
