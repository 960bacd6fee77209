//! `pixtral inspect`: what a model file holds, whether its bytes are what they were, and how it would
//! be loaded here.

mod contents;
mod json;
mod machine;
mod text;

use clap::Args;
use contents::Contents;
use machine::Machine;
use pixtral::{Result, ggml::CancelFlag, gguf::File};
use pixtral_terminal::{Interrupt, out, outln, progress::ByteProgress};
use std::path::PathBuf;

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
    let machine = Machine::of(&file)?;
    match args.json {
        true => outln!("{}", json::report(args, &file, &contents, &machine)),
        false => out!("{}", text::report(args, &file, &contents, &machine)),
    }
}

fn verify(file: &File, interrupt: &Interrupt) -> Result<()> {
    let mut bar = ByteProgress::default();
    let flag = CancelFlag::default();
    interrupt.during(flag.clone(), || {
        file.verify(|done, total| {
            bar.at(done, total, "verifying");
            flag.flow()
        })
    })
}
