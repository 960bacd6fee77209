//! `pixtral-quantize synth`: files of random weights, for measuring without a download.

use crate::{
    convert::print_report,
    recipe::{RecipeArgs, tensor_type},
    work,
};
use clap::{Args, ValueEnum};
use pixtral::{
    Error, ErrorKind, Result,
    checkpoint::Synthetic,
    config::Config,
    ggml::CancelFlag,
    gguf::TensorType,
    quantize::{QuantizeOptions, synthesize},
};
use pixtral_terminal::{Interrupt, outln, progress::ByteProgress};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

/// Write a model file, or a checkpoint, of random weights
///
/// The file has the size, the types and the shape of a real one and passes every check, so that
/// loading and speed can be measured without a download; its answers are noise. So that it takes
/// no longer than the disk needs, large matrices repeat rows: of each kind of matrix about two
/// million values are made and quantised, and repeated in a varied order. A checkpoint
/// (--checkpoint) repeats nothing.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pixtral-quantize synth q4_k -o full.gguf                    the size of Pixtral-12B, 7.9 GB
  pixtral-quantize synth --layers 4 q8_0 -o four.gguf         its width, four layers
  pixtral-quantize synth --shape tiny q4_k -o tiny.gguf       for a quick look
  pixtral-quantize synth --layers 2 --checkpoint DIR --shards 3
                                                              bf16 weights to convert")]
pub struct SynthArgs {
    /// Type of the weights, as for converting
    #[arg(
        value_name = "TYPE",
        value_parser = tensor_type(),
        required_unless_present = "checkpoint",
        conflicts_with = "checkpoint"
    )]
    ty: Option<TensorType>,
    /// File to write
    #[arg(
        short,
        long,
        value_name = "FILE",
        required_unless_present = "checkpoint",
        conflicts_with = "checkpoint"
    )]
    output: Option<PathBuf>,
    /// Write a checkpoint in Mistral's layout into this folder instead
    #[arg(long, value_name = "DIR")]
    checkpoint: Option<PathBuf>,
    /// Number of safetensors files of the checkpoint
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with_all = ["ty", "output"])]
    shards: usize,
    /// Sizes to start from
    #[arg(long, value_enum, default_value_t = Shape::Pixtral12b)]
    shape: Shape,
    /// Layers of the decoder [default: the shape's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    layers: Option<u32>,
    /// Layers of the vision tower [default: the shape's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    vision_layers: Option<u32>,
    /// Start of the random sequence
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    recipe: RecipeArgs,
    /// Replace the file, or the checkpoint's files, if they exist
    #[arg(long)]
    overwrite: bool,
    /// Threads that quantise [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Print the report as one JSON object
    #[arg(long, conflicts_with = "checkpoint")]
    json: bool,
}

/// Sizes of a model.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shape {
    /// Pixtral-12B: 40 layers of width 5120, vision tower of 24 layers
    #[value(name = "pixtral-12b")]
    Pixtral12b,
    /// A few million weights: 4 layers of width 256, vision tower of 2
    Tiny,
}

impl SynthArgs {
    fn config(&self) -> Config {
        let mut config = match self.shape {
            Shape::Pixtral12b => Config::pixtral_12b(),
            Shape::Tiny => tiny(),
        };
        let (text, vision) = (&mut config.text, &mut config.vision);
        text.block_count = self.layers.unwrap_or(text.block_count);
        vision.block_count = self.vision_layers.unwrap_or(vision.block_count);
        config
    }
}

/// Pixtral-12B's structure at small sizes that every type's blocks divide.
fn tiny() -> Config {
    let mut config = Config::pixtral_12b();
    let (text, vision) = (&mut config.text, &mut config.vision);
    text.block_count = 4;
    text.embedding_length = 256;
    text.feed_forward_length = 768;
    text.head_count = 8;
    text.head_count_kv = 2;
    text.head_dim = 64;
    text.vocab_size = 4096;
    vision.block_count = 2;
    vision.embedding_length = 256;
    vision.feed_forward_length = 512;
    vision.head_count = 4;
    vision.image_size = 256;
    config
}

/// Runs the command. After an interrupt nothing of a checkpoint's shard remains, and an unfinished
/// file is begun anew.
pub fn run(args: &SynthArgs, interrupt: &Interrupt) -> Result<()> {
    let source = Synthetic::new(args.config(), args.seed)?;
    match (&args.checkpoint, args.ty, &args.output) {
        (Some(folder), ..) => write_checkpoint(args, &source, folder, interrupt),
        (None, Some(ty), Some(output)) => write_file(args, &source, ty, output, interrupt),
        _ => Err(Error::new(
            ErrorKind::InvalidArgument,
            "expected a TYPE and --output, or --checkpoint",
        )),
    }
}

fn write_file(
    args: &SynthArgs,
    source: &Synthetic,
    ty: TensorType,
    output: &Path,
    interrupt: &Interrupt,
) -> Result<()> {
    let recipe = args.recipe.recipe(ty)?;
    let options = QuantizeOptions {
        overwrite: args.overwrite,
        n_threads: args.threads.map(|n| n as usize),
        ..QuantizeOptions::default()
    };
    let start = Instant::now();
    let report = work::run(output, interrupt, |hear| {
        synthesize(source, output, &recipe, &options, hear)
    })?;
    print_report(args.json, &report, output, start)
}

fn write_checkpoint(
    args: &SynthArgs,
    source: &Synthetic,
    folder: &Path,
    interrupt: &Interrupt,
) -> Result<()> {
    if !args.overwrite && folder.join("params.json").exists() {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "{}: holds a checkpoint already; choose another folder or pass --overwrite",
                folder.display()
            ),
        ));
    }
    let start = Instant::now();
    let flag = CancelFlag::default();
    let mut bar = ByteProgress::default();
    let mut size = 0;
    let result = interrupt.during(flag.clone(), || {
        source.write(folder, args.shards, &mut |done, total| {
            size = total;
            bar.at(done, total, "weights");
            flag.check().map_err(|e| e.context(folder.display()))
        })
    });
    drop(bar);
    result?;
    outln!(
        "{}: {:.2} GB written in {:.1} s",
        folder.display(),
        size as f64 / 1e9,
        start.elapsed().as_secs_f64()
    )
}
