//! `pixtral fit`: what this machine, or another, can run.

mod report;

use crate::memory;
use clap::Args;
use pixtral::{
    Error, ErrorKind, Result,
    checkpoint::Synthetic,
    config::Config,
    gguf::{File, TensorType},
    quantize::{Recipe, Report as Sizes, TYPES, preview},
    runtime::{
        Bytes, DecoderOptions, KvType,
        fit::{Footprint, Machine, WorkingMemory, fit},
        memory_bandwidth, performance_cores,
    },
    session::SessionOptions,
};
use pixtral_terminal::{out, outln, progress::spinner};
use report::{Report, Row};
use std::path::{Path, PathBuf};

/// Show what a machine can run: types, context, pictures, tokens per second
///
/// The numbers are computed from the sizes of a model's parts: what its weights, keys and values
/// take in memory, and how fast memory can be read, which is how fast tokens are generated. Reading
/// prompts and pictures depends on the processor instead: `pixtral bench` measures that.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  pixtral fit                                         every type of Pixtral-12B on this machine
  pixtral fit pixtral-12b-q4_k.gguf                   a file
  pixtral fit --memory 8GiB --bandwidth 17GB/s        another machine
  pixtral fit --type q3_k --kv-type q8_0 --json       for programs")]
pub struct FitArgs {
    /// Model file (GGUF, as pixtral-quantize writes it) [default: Pixtral-12B in every type]
    #[arg(conflicts_with = "types")]
    model: Option<PathBuf>,
    /// A type of Pixtral-12B; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<TensorType>,
    /// Memory of the machine, such as 8GiB [default: this machine's]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Bytes>,
    /// What of it is left to the system and other programs
    #[arg(long, value_name = "SIZE", default_value = "512MiB")]
    reserve: Bytes,
    /// How fast memory is read, such as 17GB/s [default: measured here]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    bandwidth: Option<f64>,
    /// Storage of keys and values: f16, q8_0 (half the memory) or f32
    #[arg(long, value_name = "TYPE", default_value = "f16")]
    kv_type: KvType,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &FitArgs) -> Result<()> {
    let stated = args.memory.map(|Bytes(n)| n);
    let memory = stated.or_else(memory::machine).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            "this system does not say how much memory it has: state it with --memory",
        )
    })?;
    let models = models(args)?;
    let machine = Machine {
        memory: memory.saturating_sub(args.reserve.0),
        bandwidth: args.bandwidth.unwrap_or_else(measure),
    };
    let report = Report {
        args,
        memory,
        bandwidth: machine.bandwidth,
        rows: models
            .into_iter()
            .map(|(name, footprint)| {
                let working = working(&footprint.config, args.kv_type)?;
                Ok(Row {
                    fit: fit(&footprint, &working, &machine, args.kv_type),
                    weights: footprint.weights(),
                    name,
                })
            })
            .collect::<Result<_>>()?,
    };
    match args.json {
        true => outln!("{}", report.to_json()),
        false => out!("{report}"),
    }
}

/// What a conversation with the usual settings takes beside weights, keys and values.
fn working(config: &Config, kv_type: KvType) -> Result<WorkingMemory> {
    let usual = SessionOptions::default();
    let options = DecoderOptions {
        n_sequences: 1,
        n_ctx: 0,
        n_ubatch: usual.n_ubatch,
        kv_type,
        n_threads: 1,
        reserve_bytes: usual.image_cache_bytes as u64,
    };
    WorkingMemory::measure(config, &options)
}

fn measure() -> f64 {
    let spinner = spinner("measuring memory");
    let bandwidth = memory_bandwidth(performance_cores());
    spinner.finish_and_clear();
    bandwidth
}

/// The models to look at, by name.
fn models(args: &FitArgs) -> Result<Vec<(String, Footprint)>> {
    if let Some(path) = &args.model {
        return Ok(vec![(path.display().to_string(), of_file(path)?)]);
    }
    let types = match args.types.is_empty() {
        true => TYPES.as_slice(),
        false => args.types.as_slice(),
    };
    let config = Config::pixtral_12b();
    let source = Synthetic::new(config.clone(), 0)?;
    types
        .iter()
        .map(|&ty| {
            let sizes = preview(&source, &Recipe::new(ty)?)?;
            Ok((ty.name().to_owned(), of_sizes(&config, &sizes)))
        })
        .collect()
}

fn of_file(path: &Path) -> Result<Footprint> {
    let file = File::open(path)?;
    let config = Config::from_metadata(file.metadata()).map_err(|e| e.context(path.display()))?;
    Ok(Footprint::new(&config, |spec| {
        file.find(&spec.name).map_or(0, |info| info.n_bytes)
    }))
}

fn of_sizes(config: &Config, sizes: &Sizes) -> Footprint {
    let bytes = |names: &[&str]| {
        let groups = sizes.groups.iter().filter(|g| names.contains(&g.group));
        groups.map(|g| g.bytes).sum()
    };
    Footprint {
        config: config.clone(),
        vision: bytes(&["vision"]),
        embedding: bytes(&["embedding"]),
        decoder: bytes(&["decoder", "output"]),
    }
}

/// Reads bytes a second: a size and `/s`.
fn parse_rate(text: &str) -> std::result::Result<f64, String> {
    let size = text.trim().strip_suffix("/s");
    match size.and_then(|size| size.parse::<Bytes>().ok()) {
        Some(Bytes(rate)) if rate > 0 => Ok(rate as f64),
        _ => Err("expected a rate such as 17GB/s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_sizes_a_second() {
        assert_eq!(parse_rate("17GB/s"), Ok(17e9));
        assert_eq!(parse_rate(" 1.5 GiB/s"), Ok(1.5 * f64::from(1 << 30)));
        for bad in [
            "0GB/s", "17", "17/s", "17GB", "GB/s", "17GB/h", "-1GB/s", "",
        ] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_parts_of_a_recipe_are_all_of_its_file() {
        let config = Config::pixtral_12b();
        let source = Synthetic::new(config.clone(), 0).unwrap();
        let sizes = preview(&source, &Recipe::new(TensorType::Q4K).unwrap()).unwrap();
        let footprint = of_sizes(&config, &sizes);
        let parts = [footprint.vision, footprint.embedding, footprint.decoder];
        assert!(parts.iter().all(|&bytes| bytes > 100 << 20), "{parts:?}");
        // The rest of the file is vocabulary and padding.
        let rest = sizes.file_bytes - footprint.weights();
        assert!(rest < 16 << 20, "{rest}");
    }
}
