//! `pixtral-quantize`: a checkpoint to one GGUF file.
//!
//! The work is the library's; this tool reads the arguments, shows progress, catches Ctrl-C and
//! turns errors into one line and an exit code (1 for errors, 2 for usage, 130 for interrupts).

mod convert;
mod export;
mod recipe;
mod synth;
mod work;

use clap::{Parser, Subcommand};
use pixtral_terminal::{Interrupt, exit};
use std::process::ExitCode;

/// Turn a Pixtral checkpoint into one quantised GGUF file
///
/// Reads Mistral's layout (params.json, consolidated.safetensors, tekken.json) or Hugging Face's
/// (config.json, model*.safetensors, tokenizer.json) and writes the file that `pixtral` runs. Both
/// layouts give the same file. Little memory is needed; an interrupted run is resumed by the same
/// command.
#[derive(Parser, Debug)]
#[command(
    name = "pixtral-quantize",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  pixtral-quantize q4_k Pixtral-12B-2409                      7.9 GB, the usual choice
  pixtral-quantize q8_0 Pixtral-12B-2409 -o pixtral-q8.gguf   13.5 GB, next to no loss
  pixtral-quantize q4_k Pixtral-12B-2409 --dry-run            what would be written
  pixtral-quantize q3_k Pixtral-12B-2409 --tensor-type 'attn_v=q6_k' --tensor-type '^blk\\.0\\.=q8_0'
  pixtral-quantize synth --help                               files of random weights
  pixtral-quantize export --help                              llama.cpp's pair of files"
)]
struct Cli {
    #[command(flatten)]
    convert: Option<convert::ConvertArgs>,
    #[command(flatten)]
    recipe: recipe::RecipeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    Synth(synth::SynthArgs),
    Export(export::ExportArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let interrupt = Interrupt::install();
    let result = match (&cli.command, &cli.convert) {
        (Some(Command::Synth(args)), _) => synth::run(args, &interrupt),
        (Some(Command::Export(args)), _) => export::run(args, &interrupt),
        (None, Some(args)) => convert::run(args, &cli.recipe, &interrupt),
        // clap insists on the arguments where there is no subcommand.
        (None, None) => return ExitCode::from(2),
    };
    exit(result)
}
