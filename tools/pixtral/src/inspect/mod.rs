//! `pixtral inspect`: what a model file holds, and whether its bytes are what they were.

mod contents;
mod json;
mod text;

use clap::Args;
use contents::Contents;
use pixtral::{Result, ggml::CancelFlag, gguf::File};
use pixtral_terminal::{Interrupt, out, outln, progress::bytes_bar};
use std::{ops::ControlFlow, path::PathBuf};

/// Show what a model file holds
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Model file (GGUF)
    file: PathBuf,
    /// Read every tensor and compare it with its checksum
    #[arg(long)]
    verify: bool,
    /// List every tensor
    #[arg(long)]
    tensors: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command. `interrupt` stops verifying.
pub fn run(args: &InspectArgs, interrupt: &Interrupt) -> Result<()> {
    let file = File::open(&args.file)?;
    if args.verify {
        verify(&file, interrupt)?;
    }
    let contents = Contents::of(&file);
    match args.json {
        true => outln!("{}", json::report(args, &file, &contents)),
        false => out!("{}", text::report(args, &file, &contents)),
    }
}

fn verify(file: &File, interrupt: &Interrupt) -> Result<()> {
    let bar = bytes_bar("verifying", 0);
    let flag = CancelFlag::default();
    let result = interrupt.during(flag.clone(), || {
        file.verify(|done, total| {
            bar.set_length(total);
            bar.set_position(done);
            match flag.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })
    });
    bar.finish_and_clear();
    result
}
