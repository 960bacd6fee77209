//! What fits, as a table and as JSON.

use super::FitArgs;
use pixtral::runtime::fit::{Fit, Resident};
use pixtral_terminal::{Table, units};
use serde_json::{Value, json};
use std::fmt;

/// Everything computed.
pub struct Report<'a> {
    pub args: &'a FitArgs,
    /// Bytes that the machine has.
    pub memory: u64,
    /// Bytes that it reads in a second.
    pub bandwidth: f64,
    pub rows: Vec<Row>,
}

/// One model.
pub struct Row {
    /// The file, or the type of Pixtral-12B.
    pub name: String,
    /// Bytes of its weights.
    pub weights: u64,
    pub fit: Fit,
}

fn resident(fit: &Fit) -> &'static str {
    match fit.resident {
        Resident::All => "all",
        Resident::Decoder => "decoder",
        Resident::Nothing => "nothing",
    }
}

impl Report<'_> {
    /// The report for programs.
    pub fn to_json(&self) -> Value {
        let fits: Vec<Value> = (self.rows.iter())
            .map(|Row { name, weights, fit }| {
                json!({
                    "model": name,
                    "weights_bytes": weights,
                    "resident": resident(fit),
                    "context": fit.n_ctx,
                    "picture_tokens": fit.picture_tokens,
                    "pictures": fit.n_pictures,
                    "tokens_per_s": fit.tokens_per_s,
                    "tokens_per_s_full": fit.tokens_per_s_full,
                })
            })
            .collect();
        json!({
            "memory_bytes": self.memory,
            "reserve_bytes": self.args.reserve.0,
            "bandwidth_bytes_per_s": self.bandwidth,
            "bandwidth_measured": self.args.bandwidth.is_none(),
            "kv_type": self.args.kv_type.to_string(),
            "fits": fits,
        })
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&[
            "model",
            ">weights",
            "in memory",
            ">context",
            "pictures",
            ">tokens/s",
            ">when full",
        ]);
        for Row { name, weights, fit } in &self.rows {
            let name = name.clone();
            let weights = units::bytes(*weights);
            let cells = match fit.resident {
                Resident::Nothing => ["too large", "", "", "", ""].map(str::to_owned),
                _ => [
                    resident(fit).to_owned(),
                    fit.n_ctx.to_string(),
                    pictures(fit),
                    format!("{:.1}", fit.tokens_per_s),
                    format!("{:.1}", fit.tokens_per_s_full),
                ],
            };
            table.row([name, weights].into_iter().chain(cells).collect());
        }
        table
    }
}

fn pictures(fit: &Fit) -> String {
    match fit.n_pictures {
        0 => "none".to_owned(),
        n => format!("{n} of {} tokens", fit.picture_tokens),
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} of memory, {} of it for the system; read at {:.1} GB/s ({}); keys and values in {}",
            units::bytes(self.memory),
            units::bytes(self.args.reserve.0),
            self.bandwidth / 1e9,
            match self.args.bandwidth {
                Some(_) => "as stated",
                None => "measured",
            },
            self.args.kv_type,
        )?;
        write!(f, "{}", self.table())?;
        let any = |resident| self.rows.iter().any(|row| row.fit.resident == resident);
        if any(Resident::Decoder) {
            writeln!(
                f,
                "decoder: vision tower and embedding are read from the disk again for each picture"
            )?;
        }
        if any(Resident::Nothing) {
            writeln!(
                f,
                "too large: every token would be read from the disk; share it with other machines"
            )?;
        }
        Ok(())
    }
}
