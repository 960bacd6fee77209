//! `pixtral bench`: how fast a model file runs on this machine.

mod measure;
mod parallel;
mod report;
mod timing;

use crate::{
    load::LoadArgs,
    memory::Memory,
    options::{DecoderArgs, parse_size},
    placement::{self, PlanArgs},
};
use clap::Args;
use parallel::Parallel;
use pixtral::{Result, ggml};
use pixtral_terminal::{Interrupt, out, outln, progress::spinner};
use report::{Encode, Report};
use std::{path::PathBuf, time::Instant};

/// Measure how fast a model file runs on this machine
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Model file (GGUF, as pixtral-quantize writes it)
    model: PathBuf,
    /// Picture size to encode, WIDTHxHEIGHT in pixels; may be given several times
    #[arg(long = "image", value_name = "WxH", value_parser = parse_size, default_value = "512x512")]
    images: Vec<(u32, u32)>,
    /// Pictures of that size to encode together
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pictures: u32,
    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    prompt: u32,
    /// Tokens to generate after it
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    generate: u32,
    /// Tokens to generate them after, if more than the prompt: its keys and values are repeated,
    /// which takes no time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    after: Option<u32>,
    /// Generate N answers at once as well, and see how long they wait while another one's picture is
    /// encoded and read
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    parallel: Option<u32>,
    /// Runs of each measurement after one that is not counted
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    decoder: DecoderArgs,
    #[command(flatten)]
    plan: PlanArgs,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    /// Tokens before the first generated one.
    fn n_before(&self) -> u32 {
        self.prompt.max(self.after.unwrap_or(0))
    }
}

/// Runs the command.
pub fn run(args: &BenchArgs, interrupt: &Interrupt) -> Result<()> {
    let cpu_variant = ggml::cpu_variant()?;
    let started = Instant::now();
    let model = args.load.open(&args.model, interrupt)?;
    let load = started.elapsed();
    let options = args.decoder.session();
    if args.plan.wanted {
        return placement::show_plan(&model, &options, args.json);
    }
    let mut decoder = placement::place(
        &model,
        options.placement,
        &measure::decoder_options(args, &model),
        interrupt,
    )?;
    let placed = decoder.placed_model().clone();
    let spinner = spinner("loading weights");
    model.wait_until_loaded();
    spinner.set_message("measuring the vision tower");
    let encodes = args
        .images
        .iter()
        .map(|&(width, height)| {
            let picture = measure::picture(&model, width, height)?;
            let time = measure::time_encode(args, &placed, &picture)?;
            let n_patches = picture.grid.n_patches() * args.pictures as usize;
            Ok(Encode {
                n_pictures: args.pictures,
                width,
                height,
                n_patches,
                time,
            })
        })
        .collect::<Result<_>>()?;
    spinner.set_message("measuring the decoder");
    let decoder_times = measure::time_decoder(args, &mut decoder)?;
    let plan = decoder.plan().clone();
    // Its memory goes before the next one needs its own.
    drop((decoder, placed));
    let parallel = args.parallel.map(|n| {
        spinner.set_message("measuring answers at once");
        Parallel::measure(args, &model, n as usize)
    });
    let parallel = parallel.transpose()?;
    spinner.finish_and_clear();
    let report = Report {
        args,
        cpu_variant,
        n_threads: args.decoder.n_threads(&model),
        load,
        plan: &plan,
        loading: model.loading(),
        encodes,
        decoder: decoder_times,
        parallel,
        bytes_per_token: measure::bytes_per_token(args, &model),
        memory: Memory::now(),
    };
    match args.json {
        true => outln!("{}", report.to_json()),
        false => out!("{report}"),
    }
}
