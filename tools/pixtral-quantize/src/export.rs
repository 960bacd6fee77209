//! `pixtral-quantize export`: a model file as the pair of files that llama.cpp runs.

use crate::work;
use clap::Args;
use pixtral::{
    Error, ErrorKind, Result,
    gguf::File,
    quantize::{ExportOptions, ExportReport, export},
};
use pixtral_terminal::{Interrupt, outln};
use serde_json::json;
use std::{path::PathBuf, time::Instant};

/// Write a model file as llama.cpp's pair of files
///
/// Weights are copied as they are; only the metadata is another. The pair holds no chat template:
/// pass --chat-template mistral-v3-tekken to llama.cpp's tools.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  pixtral-quantize export pixtral-12b-q4_k.gguf --text text.gguf --mmproj mmproj.gguf
  llama-mtmd-cli -m text.gguf --mmproj mmproj.gguf --no-jinja --chat-template mistral-v3-tekken \\
      --image photo.jpg -p 'Describe the image.'")]
pub struct ExportArgs {
    /// Model file (GGUF, as pixtral-quantize writes it)
    model: PathBuf,
    /// File to write decoder and tokenizer to
    #[arg(long, value_name = "FILE")]
    text: PathBuf,
    /// File to write vision tower and projector to
    #[arg(long, value_name = "FILE")]
    mmproj: PathBuf,
    /// Replace the files if they exist
    #[arg(long)]
    overwrite: bool,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command. After an interrupt only unfinished files remain, which are begun anew.
pub fn run(args: &ExportArgs, interrupt: &Interrupt) -> Result<()> {
    let start = Instant::now();
    let file = File::open(&args.model)?;
    let options = ExportOptions {
        overwrite: args.overwrite,
    };
    let report = work::run(&args.text, interrupt, |hear| {
        export(&file, &args.text, &args.mmproj, options, hear)
    })?;
    print_report(args, &report, start)
}

fn print_report(args: &ExportArgs, report: &ExportReport, start: Instant) -> Result<()> {
    let seconds = start.elapsed().as_secs_f64();
    if args.json {
        let mut object = serde_json::to_value(report)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("the report is not JSON: {e}")))?;
        object["seconds"] = json!(seconds);
        return outln!("{object}");
    }
    for (path, half) in [(&args.text, &report.text), (&args.mmproj, &report.mmproj)] {
        outln!(
            "{}: {} tensors, {:.2} GB",
            path.display(),
            half.tensors,
            half.file_bytes as f64 / 1e9
        )?;
    }
    outln!("written in {seconds:.1} s")
}
