//! Arguments that several commands share.

use crate::placement::PlacementArgs;
use clap::Args;
use etcetera::BaseStrategy;
use pixtral::{
    runtime::{KvType, Model},
    session::{DEFAULT_UBATCH, GenerateOptions, SamplingOptions, SessionOptions, Speculation},
};
use std::path::PathBuf;

/// How the decoder is set up.
#[derive(Args, Debug)]
pub struct DecoderArgs {
    /// Threads to compute with [default: the physical performance cores; fewer for small models]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Longest conversation in tokens [default: 8192]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ctx: Option<u32>,
    /// Tokens computed as one batch; results do not depend on it [default: 512, or 2048 with a
    /// graphics processor that has 4 GiB for it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    ubatch: Option<u32>,
    /// Storage of keys and values: f16, q8_0 (half the memory) or f32
    #[arg(long, value_name = "TYPE", default_value = "f16")]
    kv_type: KvType,
    #[command(flatten)]
    placement: PlacementArgs,
}

impl DecoderArgs {
    pub fn n_threads(&self, model: &Model) -> usize {
        self.threads
            .map_or_else(|| model.default_threads(), |n| n as usize)
    }

    pub fn n_ctx(&self) -> Option<usize> {
        self.ctx.map(|n| n as usize)
    }

    pub fn kv_type(&self) -> KvType {
        self.kv_type
    }

    pub fn session(&self) -> SessionOptions {
        let placement = self.placement.options();
        SessionOptions {
            n_ctx: self.n_ctx(),
            n_ubatch: match self.ubatch {
                Some(n) => n as usize,
                None => placement.suitable_ubatch(DEFAULT_UBATCH),
            },
            kv_type: self.kv_type,
            n_threads: self.threads.map(|n| n as usize),
            placement,
            ..SessionOptions::default()
        }
    }
}

/// Where the results of the vision tower are kept from run to run.
#[derive(Args, Debug)]
pub struct CacheArgs {
    /// Neither use nor keep what was computed for pictures in other runs
    #[arg(long)]
    no_cache: bool,
    /// Folder that keeps it, at most 512 MiB [default: pixtral in the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache_dir: Option<PathBuf>,
}

impl CacheArgs {
    /// How a session of such a decoder is set up.
    pub fn session(&self, decoder: &DecoderArgs) -> SessionOptions {
        SessionOptions {
            image_cache_dir: self.folder(),
            ..decoder.session()
        }
    }

    /// The folder, unless none is wanted or the system names none.
    fn folder(&self) -> Option<PathBuf> {
        if self.no_cache {
            return None;
        }
        self.cache_dir.clone().or_else(|| {
            let system = etcetera::choose_base_strategy().ok()?;
            Some(system.cache_dir().join("pixtral"))
        })
    }
}

/// How answers are generated.
#[derive(Args, Debug)]
pub struct GenerateArgs {
    /// Most tokens of an answer
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1024)]
    max_tokens: u32,
    /// 0 takes the most likely token each time; more is more varied
    #[arg(
        long,
        value_name = "T",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    temperature: f32,
    /// Keep only the K most likely tokens; 0 keeps all
    #[arg(long, value_name = "K", default_value_t = 0)]
    top_k: u32,
    /// Keep the most likely tokens whose probabilities add up to P
    #[arg(
        long,
        value_name = "P",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    top_p: f32,
    /// Keep tokens at least P times as likely as the most likely one
    #[arg(
        long,
        value_name = "P",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    min_p: f32,
    /// Make tokens that came recently less likely; 1 is off
    #[arg(
        long,
        value_name = "X",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    repeat_penalty: f32,
    /// Start of the random sequence [default: from the clock]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// End the answer at this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Compute one token at a time, never several that repeat what was said before; answers do
    /// not depend on it
    #[arg(long)]
    no_draft: bool,
}

impl GenerateArgs {
    pub fn options(&self) -> GenerateOptions {
        GenerateOptions {
            max_tokens: Some(self.max_tokens as usize),
            stop: self.stop.clone(),
            sampling: SamplingOptions {
                temperature: self.temperature,
                top_k: self.top_k as usize,
                top_p: self.top_p,
                min_p: self.min_p,
                repeat_penalty: self.repeat_penalty,
                seed: self.seed,
                ..SamplingOptions::default()
            },
            speculation: match self.no_draft {
                true => Speculation::Off,
                false => Speculation::Auto,
            },
            ..GenerateOptions::default()
        }
    }
}

/// Reads `640x480`.
pub fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once(['x', '×']).and_then(|(width, height)| {
        Some((width.trim().parse().ok()?, height.trim().parse().ok()?))
    });
    match parsed {
        Some((width, height)) if width > 0 && height > 0 => Ok((width, height)),
        _ => Err("expected WIDTHxHEIGHT in pixels, such as 512x512".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_two_positive_numbers() {
        assert_eq!(parse_size("640x480"), Ok((640, 480)));
        for bad in ["640", "0x4", "ax4", "-1x4", ""] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
