//! What a measurement gave, as a table and as JSON.

use super::{BenchArgs, measure::DecoderTimes, parallel::Parallel, timing::Timing};
use crate::memory::Memory;
use pixtral::runtime::{Plan, load::Choice};
use pixtral_terminal::{Table, units};
use serde_json::{Value, json};
use std::{fmt, time::Duration};

/// Everything measured.
pub struct Report<'a> {
    /// What was asked for.
    pub args: &'a BenchArgs,
    /// The CPU kernels in use.
    pub cpu_variant: &'static str,
    /// Threads that computed.
    pub n_threads: usize,
    /// Opening the model file.
    pub load: Duration,
    /// Where the parts of the model are.
    pub plan: &'a Plan,
    /// Where weights are read from.
    pub loading: &'a Choice,
    /// The vision tower, per size of picture.
    pub encodes: Vec<Encode>,
    /// The decoder.
    pub decoder: DecoderTimes,
    /// Several answers at once.
    pub parallel: Option<Parallel>,
    /// Bytes that generating one token reads.
    pub bytes_per_token: u64,
    /// The process at the end.
    pub memory: Option<Memory>,
}

/// The vision tower on one size of picture.
pub struct Encode {
    /// How many are encoded together.
    pub n_pictures: u32,
    pub width: u32,
    pub height: u32,
    pub n_patches: usize,
    pub time: Timing,
}

impl Report<'_> {
    fn prefill_rate(&self) -> f64 {
        units::rate(self.args.prompt as usize, self.decoder.prefill.median())
    }

    fn decode_rate(&self) -> f64 {
        units::rate(self.args.generate as usize, self.decoder.decode.median())
    }

    fn gigabytes_per_second(&self) -> f64 {
        self.bytes_per_token as f64 * self.decode_rate() / 1e9
    }

    /// The report for programs.
    pub fn to_json(&self) -> Value {
        let encode: Vec<Value> = self
            .encodes
            .iter()
            .map(|e| {
                json!({
                    "pictures": e.n_pictures,
                    "width": e.width,
                    "height": e.height,
                    "patches": e.n_patches,
                    "time": e.time.to_json(),
                })
            })
            .collect();
        json!({
            "model": self.args.model,
            "cpu_variant": self.cpu_variant,
            "threads": self.n_threads,
            "load_s": self.load.as_secs_f64(),
            "plan": self.plan.to_json(),
            "load_mode": self.loading.mode.to_string(),
            "encode": encode,
            "prefill": {
                "tokens": self.args.prompt,
                "tokens_per_s": self.prefill_rate(),
                "time": self.decoder.prefill.to_json(),
            },
            "decode": {
                "tokens": self.args.generate,
                "after": self.args.n_before(),
                "tokens_per_s": self.decode_rate(),
                "time": self.decoder.decode.to_json(),
                "bytes_per_token": self.bytes_per_token,
                "gigabytes_per_s": self.gigabytes_per_second(),
            },
            "parallel": self.parallel.as_ref().map(|p| p.to_json(self.args)),
            "streamed_parts": self.decoder.streamed.map(|(streamed, _)| streamed),
            "memory": self.memory.map(Memory::to_json),
        })
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["what", ">median", ">rate", "min … max"]);
        let load = units::duration(self.load);
        table.row(vec![
            format!("load ({})", self.loading.mode),
            load,
            String::new(),
            String::new(),
        ]);
        for e in &self.encodes {
            let what = match e.n_pictures {
                1 => format!("vision encode {}×{}", e.width, e.height),
                n => format!("vision encode {n} of {}×{}", e.width, e.height),
            };
            table.row(vec![
                what,
                units::duration(e.time.median()),
                format!("{:.0} patches/s", units::rate(e.n_patches, e.time.median())),
                e.time.spread(),
            ]);
        }
        for (what, n, rate, time) in [
            (
                "prefill",
                self.args.prompt,
                self.prefill_rate(),
                &self.decoder.prefill,
            ),
            (
                "decode",
                self.args.generate,
                self.decode_rate(),
                &self.decoder.decode,
            ),
        ] {
            table.row(vec![
                format!("{what} {n} tokens"),
                units::duration(time.median()),
                format!("{rate:.2} tokens/s"),
                time.spread(),
            ]);
        }
        if let Some(parallel) = &self.parallel {
            self.parallel_rows(parallel, &mut table);
        }
        table
    }

    fn parallel_rows(&self, parallel: &Parallel, table: &mut Table) {
        let (width, height) = parallel.size;
        let n = parallel.n;
        table.row(vec![
            format!("decode {} tokens, {n} at once", self.args.generate),
            units::duration(parallel.decode.median()),
            format!("{:.2} tokens/s", parallel.rate(self.args)),
            parallel.decode.spread(),
        ]);
        for (what, time) in [
            ("encoding", &parallel.beside_encoding),
            ("reading", &parallel.beside_reading),
        ] {
            table.row(vec![
                format!("a token beside {what} {width}×{height}"),
                units::duration(time.median()),
                String::new(),
                time.spread(),
            ]);
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.args.model.display();
        writeln!(
            f,
            "{model} on {} threads, {} kernels",
            self.n_threads, self.cpu_variant
        )?;
        write!(f, "{}", self.table())?;
        writeln!(
            f,
            "decode reads {} per token: {:.1} GB/s",
            units::bytes(self.bytes_per_token),
            self.gigabytes_per_second()
        )?;
        if let Some((streamed, parts)) = self.decoder.streamed {
            writeln!(
                f,
                "memory is short: {streamed} of {parts} parts of the weights are read for each run"
            )?;
        }
        let Some(memory) = self.memory else {
            return Ok(());
        };
        writeln!(
            f,
            "memory: {} anonymous, {} of mapped files, {} at the peak",
            units::bytes(memory.anonymous),
            units::bytes(memory.file_backed),
            units::bytes(memory.peak)
        )
    }
}
