//! Rates in a file, for later runs. A convenience, as the embeddings beside it are: whatever goes
//! wrong with it, rates are measured as if there were no file.

use super::super::sealed::{Format, Sealed, SealedWriter};
use crate::{
    Error, Result,
    ggml::cpu_variant,
    runtime::{KvType, Model, Rates},
};
use std::{fs, path::PathBuf};
use xxhash_rust::xxh3::Xxh3;

const FORMAT: Format = Format {
    magic: *b"PIXTRATE",
    version: 1,
    name: "rates of a machine",
};

/// Where the rates of one model, set up in one way, on one kind of processor are kept.
pub(in crate::session) struct KeptRates {
    path: PathBuf,
}

impl KeptRates {
    /// Those of `model` with `n_threads` threads in `folder`. Models of equal shape and types are as
    /// fast, whatever their weights.
    pub(in crate::session) fn new(
        folder: PathBuf,
        model: &Model,
        kv_type: KvType,
        n_threads: usize,
    ) -> Self {
        let mut hash = Xxh3::new();
        hash.update(env!("CARGO_PKG_VERSION").as_bytes());
        hash.update(format!("{:?}", model.config()).as_bytes());
        for tensor in model.file().tensors() {
            hash.update(&tensor.ty.id().to_le_bytes());
        }
        hash.update(format!("{kv_type} {n_threads}").as_bytes());
        hash.update(cpu_variant().unwrap_or_default().as_bytes());
        hash.update(processor().as_bytes());
        Self {
            path: folder.join(format!("{:032x}.rates", hash.digest128())),
        }
    }

    /// What was kept, if it is sound.
    pub(in crate::session) fn load(&self) -> Option<Rates> {
        let file = Sealed::open(&self.path, &FORMAT).ok()?;
        let (values, rest) = file.body().rest().as_chunks();
        let &[patch, patch_pair, token, token_pair] = values else {
            return None;
        };
        let rates = Rates {
            patch: f64::from_le_bytes(patch),
            patch_pair: f64::from_le_bytes(patch_pair),
            token: f64::from_le_bytes(token),
            token_pair: f64::from_le_bytes(token_pair),
        };
        (rest.is_empty() && rates.is_sound()).then_some(rates)
    }

    /// Keeps `rates`, if that is possible.
    pub(in crate::session) fn store(&self, rates: &Rates) {
        _ = self.write(rates);
    }

    fn write(&self, rates: &Rates) -> Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create", e))?;
        }
        let mut file = SealedWriter::create(&self.path, &FORMAT)?;
        for rate in [rates.patch, rates.patch_pair, rates.token, rates.token_pair] {
            file.put(&rate.to_le_bytes())?;
        }
        file.finish()
    }
}

/// The lines by which Linux tells one kind of processor from another; empty elsewhere, where a
/// folder is seldom shared between machines.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // Of the first processor; ARM has numbers instead of a name.
    let first = text.split("\n\n").next().unwrap_or_default();
    let names = ["model name", "CPU implementer", "CPU part", "CPU variant"];
    first
        .lines()
        .filter(|line| names.iter().any(|name| line.starts_with(name)))
        .collect()
}
