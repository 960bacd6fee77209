//! `pixtral fit`: what this machine, or another, can run.

mod amounts;
mod report;

use crate::memory;
use amounts::{parse_bandwidth, parse_bytes};
use clap::Args;
use pixtral::{
    Error, ErrorKind, Result,
    checkpoint::Synthetic,
    config::Config,
    gguf::{File, TensorType},
    quantize::{Recipe, Report as Sizes, TYPES, preview},
    runtime::{
        KvType,
        fit::{Footprint, Machine, fit},
        memory_bandwidth, performance_cores,
    },
    session::DEFAULT_UBATCH,
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
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
    /// What of it is left to the system and other programs
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, default_value = "512MiB")]
    reserve: u64,
    /// How fast memory is read, such as 17GB/s [default: measured here]
    #[arg(long, value_name = "RATE", value_parser = parse_bandwidth)]
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
    let memory = args.memory.or_else(memory::machine).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            "this system does not say how much memory it has: state it with --memory",
        )
    })?;
    let models = models(args)?;
    let machine = Machine {
        memory: memory.saturating_sub(args.reserve),
        bandwidth: args.bandwidth.unwrap_or_else(measure),
    };
    let report = Report {
        args,
        memory,
        bandwidth: machine.bandwidth,
        rows: models
            .into_iter()
            .map(|(name, footprint)| Row {
                fit: fit(&footprint, &machine, args.kv_type, DEFAULT_UBATCH as u64),
                weights: footprint.weights(),
                name,
            })
            .collect(),
    };
    match args.json {
        true => outln!("{}", report.to_json()),
        false => out!("{report}"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
