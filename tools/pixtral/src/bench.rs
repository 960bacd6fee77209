//! `pixtral bench`: how fast a model file runs on this machine.

use crate::{
    memory::Memory,
    options::{DecoderArgs, parse_size},
    progress::spinner,
    table::Table,
    units,
};
use clap::Args;
use pixtral::{
    Error, ErrorKind, Result,
    config::{Group, inventory},
    ggml::{self, CancelFlag},
    preprocess::{Patches, PreparedImage},
    runtime::{Decoder, DecoderOptions, Model, Outputs, Run, VisionEncoder},
    tokenizer::TokenId,
};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// Measure how fast a model file runs on this machine
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// Model file (GGUF, as pixtral-quantize writes it)
    model: PathBuf,
    /// Picture size to encode, WIDTHxHEIGHT in pixels; may be given several times
    #[arg(long = "image", value_name = "WxH", value_parser = parse_size, default_value = "512x512")]
    images: Vec<(u32, u32)>,
    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    prompt: u32,
    /// Tokens to generate after it
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    generate: u32,
    /// Runs of each measurement after one that is not counted
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repetitions: u32,
    #[command(flatten)]
    decoder: DecoderArgs,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Times of several runs of the same work.
struct Timing {
    runs: Vec<Duration>,
}

impl Timing {
    /// Runs `work` once uncounted, then `repetitions` times.
    fn measure(repetitions: u32, mut work: impl FnMut() -> Result<()>) -> Result<Self> {
        work()?;
        let mut runs = Vec::new();
        for _ in 0..repetitions {
            let started = Instant::now();
            work()?;
            runs.push(started.elapsed());
        }
        runs.sort();
        Ok(Self { runs })
    }

    fn median(&self) -> Duration {
        self.runs[self.runs.len() / 2]
    }

    fn spread(&self) -> String {
        let (min, max) = (self.runs[0], self.runs[self.runs.len() - 1]);
        format!("{} … {}", units::duration(min), units::duration(max))
    }

    fn to_json(&self) -> Value {
        let seconds: Vec<f64> = self.runs.iter().map(Duration::as_secs_f64).collect();
        json!({"median_s": self.median().as_secs_f64(), "runs_s": seconds})
    }
}

/// Runs the command.
pub fn run(args: &BenchArgs) -> Result<()> {
    let kernels = ggml::cpu_variant()?;
    let started = Instant::now();
    let model = Model::open(&args.model)?;
    let load = started.elapsed();
    let spinner = spinner("measuring the vision tower");
    let mut encodes = Vec::new();
    for &(width, height) in &args.images {
        encodes.push((width, height, time_encode(args, &model, width, height)?));
    }
    spinner.set_message("measuring the decoder");
    let (prefill, decode) = time_decoder(args, &model)?;
    spinner.finish_and_clear();

    let bytes_per_token = bytes_per_token(args, &model)?;
    let decode_rate = units::rate(args.generate as usize, decode.median());
    let gigabytes_per_second = bytes_per_token as f64 * decode_rate / 1e9;
    let prefill_rate = units::rate(args.prompt as usize, prefill.median());
    let memory = Memory::now();
    if args.json {
        let encode: Vec<Value> = encodes
            .iter()
            .map(|(width, height, time)| {
                json!({"width": width, "height": height, "time": time.to_json()})
            })
            .collect();
        let report = json!({
            "model": args.model,
            "cpu_variant": kernels,
            "threads": args.decoder.n_threads(),
            "load_s": load.as_secs_f64(),
            "encode": encode,
            "prefill": {"tokens": args.prompt, "tokens_per_s": prefill_rate, "time": prefill.to_json()},
            "decode": {
                "tokens": args.generate,
                "tokens_per_s": decode_rate,
                "time": decode.to_json(),
                "bytes_per_token": bytes_per_token,
                "gigabytes_per_s": gigabytes_per_second,
            },
            "memory": memory.map(Memory::to_json),
        });
        println!("{report}");
        return Ok(());
    }

    println!(
        "{} on {} threads, {} kernels",
        args.model.display(),
        args.decoder.n_threads(),
        kernels
    );
    let mut table = Table::new(&["what", ">median", ">rate", "min … max"]);
    table.row(vec!["load".into(), units::duration(load), String::new(), String::new()]);
    for (width, height, time) in &encodes {
        let grid = grid(&model, *width, *height)?;
        let patches = (grid.rows * grid.cols) as usize;
        table.row(vec![
            format!("vision encode {width}×{height}"),
            units::duration(time.median()),
            format!("{:.0} patches/s", units::rate(patches, time.median())),
            time.spread(),
        ]);
    }
    for (what, n, rate, time) in [
        ("prefill", args.prompt, prefill_rate, &prefill),
        ("decode", args.generate, decode_rate, &decode),
    ] {
        table.row(vec![
            format!("{what} {n} tokens"),
            units::duration(time.median()),
            format!("{rate:.2} tokens/s"),
            time.spread(),
        ]);
    }
    print!("{table}");
    println!(
        "decode reads {} per token: {gigabytes_per_second:.1} GB/s",
        units::bytes(bytes_per_token)
    );
    if let Some(memory) = memory {
        println!(
            "memory: {} anonymous, {} of mapped files, {} at the peak",
            units::bytes(memory.anonymous),
            units::bytes(memory.file_backed),
            units::bytes(memory.peak)
        );
    }
    Ok(())
}

fn grid(model: &Model, width: u32, height: u32) -> Result<Patches> {
    let vision = &model.config().vision;
    if width.max(height) > vision.image_size {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "--image {width}x{height}: this model's pictures are at most {} pixels long",
                vision.image_size
            ),
        ));
    }
    Ok(Patches {
        rows: height.div_ceil(vision.patch_size),
        cols: width.div_ceil(vision.patch_size),
    })
}

fn time_encode(args: &BenchArgs, model: &Arc<Model>, width: u32, height: u32) -> Result<Timing> {
    let patch = model.config().vision.patch_size;
    let grid = grid(model, width, height)?;
    let (width, height) = (grid.cols * patch, grid.rows * patch);
    let n = 3 * width as usize * height as usize;
    let image = PreparedImage {
        // Any smooth picture: the work does not depend on what it shows.
        pixels: (0..n).map(|i| ((i % 997) as f32 / 997.0 - 0.5) * 2.0).collect(),
        width,
        height,
        grid,
    };
    let mut encoder =
        VisionEncoder::new(model.clone(), args.decoder.n_threads(), CancelFlag::default())?;
    Timing::measure(args.repetitions, || encoder.encode(&image, &mut |_, _| ()).map(drop))
}

/// Times reading the prompt, and generating after it.
fn time_decoder(args: &BenchArgs, model: &Arc<Model>) -> Result<(Timing, Timing)> {
    let (n_prompt, n_generate) = (args.prompt as usize, args.generate as usize);
    let options = DecoderOptions {
        n_ctx: args.decoder.n_ctx().unwrap_or(n_prompt + n_generate),
        kv_type: args.decoder.kv_type(),
        n_threads: args.decoder.n_threads(),
    };
    let n_ubatch = args.decoder.n_ubatch();
    let mut decoder = Decoder::new(model.clone(), &options, CancelFlag::default())?;
    let vocab = model.config().text.vocab_size;
    // Ordinary ids spread over the vocabulary, so that embedding rows are not all the same one.
    let ids: Vec<TokenId> =
        (0..args.prompt.max(args.generate)).map(|i| i.wrapping_mul(7919) % vocab).collect();
    let mut logits = Vec::new();
    let prefill = Timing::measure(args.repetitions, || {
        decoder.truncate(0);
        let mut chunks = ids[..n_prompt].chunks(n_ubatch).peekable();
        while let Some(ids) = chunks.next() {
            let outputs = if chunks.peek().is_none() { Outputs::Last } else { Outputs::None };
            decoder.append(&Run { ids, image_rows: &[] }, outputs, &mut logits)?;
        }
        Ok(())
    })?;
    let decode = Timing::measure(args.repetitions, || {
        decoder.truncate(n_prompt);
        for id in &ids[..n_generate] {
            let run = Run { ids: std::slice::from_ref(id), image_rows: &[] };
            decoder.append(&run, Outputs::Last, &mut logits)?;
        }
        Ok(())
    })?;
    Ok((prefill, decode))
}

/// Bytes that generating one token reads: the decoder's matrices, one embedding row, and the keys
/// and values of the tokens before it.
fn bytes_per_token(args: &BenchArgs, model: &Model) -> Result<u64> {
    let text = &model.config().text;
    let mut weights = 0;
    for spec in inventory(model.config()) {
        let info = model.file().tensor(&spec.name)?;
        weights += match spec.group {
            Group::Vision => 0,
            Group::Embedding => info.n_bytes / u64::from(text.vocab_size),
            Group::Block(_) | Group::Output => info.n_bytes,
        };
    }
    let before = u64::from(args.prompt) + u64::from(args.generate) / 2;
    Ok(weights + before * args.decoder.kv_type().bytes_per_token(text))
}
