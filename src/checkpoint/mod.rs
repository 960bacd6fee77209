//! Reads the checkpoints that Pixtral is published as: Mistral's own layout and Hugging Face's.
//!
//! Opening one checks everything that could go wrong later: every field of its configuration, and
//! that every tensor of the model is there with the right shape and a known type, in files of the
//! right length. It uses the safetensors container, mapped files and the tokenizer, and knows
//! neither GGUF's layout, nor quantisation, nor ggml.

mod fields;
mod folder;
mod hf;
mod image_ids;
mod index;
mod mistral;
mod names;
mod random;
mod shard;
mod source;
mod synthetic;
mod tensor;
mod vocabulary;
mod write;

pub use source::{Dtype, Format, TensorRows, TensorSource, count_non_finite};
pub use synthetic::Synthetic;
pub use tensor::SourceTensor;

use crate::config::{Config, TensorSpec};
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};
use fields::invalid;
use folder::Vocabulary;
use image_ids::ImageIds;
use sha2::{Digest, Sha256};
use shard::Shard;
use std::fs;
use std::path::{Path, PathBuf};

/// The context that Pixtral-12B was published for, in tokens. Used where the configuration does
/// not say, and as an upper limit: Hugging Face's files say 1,024,000, which the model cannot do.
pub const PUBLISHED_CONTEXT: u32 = 131_072;

/// The smallest of the `limits` that a configuration states and of [`PUBLISHED_CONTEXT`].
fn context_length<const N: usize>(limits: [Option<u32>; N]) -> u32 {
    let stated = limits.into_iter().flatten();
    stated
        .min()
        .map_or(PUBLISHED_CONTEXT, |n| n.min(PUBLISHED_CONTEXT))
}

/// An opened checkpoint: configuration read, files mapped, tensors found and checked.
pub struct Checkpoint {
    folder: PathBuf,
    format: Format,
    config: Config,
    config_sha256: String,
    tokenizer: Option<Tokenizer>,
    notes: Vec<String>,
    /// Configuration, tokenizer and index of shards.
    json_files: Vec<PathBuf>,
    shards: Vec<Shard>,
    tensors: index::Tensors,
}

impl Checkpoint {
    /// Opens the checkpoint in folder `path` (or in the folder of the file `path`).
    ///
    /// A folder that holds both layouts is read as Mistral's, with a [note](Checkpoint::notes),
    /// unless `path` is a file of the other. Fails with `InvalidCheckpoint` or `InvalidTensor` if
    /// something is missing or contradicts itself, with `UnsupportedModel` if the checkpoint is of
    /// a model that would be computed otherwise, and with the kinds of [`Error::io`].
    pub fn open(path: &Path) -> Result<Self> {
        let layout = folder::detect(path)?;
        let file = layout.config.display().to_string();
        let bytes = fs::read(&layout.config).map_err(|e| Error::io(&layout.config, "read", e))?;
        let json = serde_json::from_slice(&bytes)
            .map_err(|e| invalid(format!("{file}: not a JSON file: {e}")))?;
        let vocabulary = layout.vocabulary.as_ref();
        let tokenizer = vocabulary.map(Vocabulary::load).transpose()?;
        let vocabulary_file = vocabulary.map(|v| v.path().display().to_string());
        let ids = ImageIds {
            tokenizer: tokenizer.as_ref().zip(vocabulary_file.as_deref()),
        };
        let mut notes = layout.notes;
        let config = match layout.format {
            Format::HuggingFace => hf::config(&file, &json, &ids, &mut notes)?,
            _ => mistral::config(&file, &json, &ids, &mut notes)?,
        };
        if let Some((tokenizer, name)) = ids.tokenizer {
            check_vocabulary(tokenizer, name, &config, &mut notes)?;
        }
        let shards = layout
            .shards
            .iter()
            .map(|path| Shard::open(path))
            .collect::<Result<Vec<_>>>()?;
        let tensors = index::Tensors::find(
            layout.format,
            &layout.config,
            &config,
            &shards,
            layout.index.as_ref(),
            &mut notes,
        )?;
        Ok(Self {
            folder: layout
                .config
                .parent()
                .map(Path::to_path_buf)
                .unwrap_or_default(),
            format: layout.format,
            config,
            config_sha256: hex(&Sha256::digest(&bytes)),
            tokenizer,
            notes,
            json_files: [
                Some(layout.config.clone()),
                vocabulary.map(|v| v.path().to_path_buf()),
                layout.index.as_ref().map(|index| index.path.clone()),
            ]
            .into_iter()
            .flatten()
            .collect(),
            shards,
            tensors,
        })
    }

    /// The folder that its files are in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Which layout it has.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// SHA-256 of params.json or config.json, in hexadecimal.
    pub fn config_sha256(&self) -> &str {
        &self.config_sha256
    }

    /// What was found and ignored, a sentence each: unknown fields and tensors, the other layout.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The tokenizer of tekken.json, or of tokenizer.json if there is no tekken.json.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let tokenizer = self.tokenizer.clone();
        tokenizer.ok_or_else(|| folder::no_vocabulary(&self.folder))
    }

    /// The tensor `spec`, one of [`inventory`](crate::config::inventory) of [`Checkpoint::config`].
    pub fn tensor(&self, spec: &TensorSpec) -> Result<SourceTensor<'_>> {
        self.tensors.get(spec, &self.shards)
    }
}

impl TensorSource for Checkpoint {
    fn format(&self) -> Format {
        self.format
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn config_sha256(&self) -> &str {
        &self.config_sha256
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn files(&self) -> Vec<PathBuf> {
        let shards = self.shards.iter().map(|shard| shard.path.clone());
        self.json_files.iter().cloned().chain(shards).collect()
    }

    fn tokenizer(&self) -> Result<Tokenizer> {
        Checkpoint::tokenizer(self)
    }

    fn tensor<'a>(&'a self, spec: &TensorSpec) -> Result<Box<dyn TensorRows + 'a>> {
        Ok(Box::new(Checkpoint::tensor(self, spec)?))
    }
}

/// Checks that the model has a row for every token.
fn check_vocabulary(
    tokenizer: &Tokenizer,
    name: &str,
    config: &Config,
    notes: &mut Vec<String>,
) -> Result<()> {
    let (tokens, rows) = (tokenizer.vocab_size(), config.text.vocab_size);
    if tokens > rows {
        return Err(invalid(format!(
            "{name}: has {tokens} tokens, but the model only {rows}: the two are of different models"
        )));
    }
    if tokens < rows {
        notes.push(format!(
            "{name}: has {tokens} tokens, the model {rows}: the rest will never be used"
        ));
    }
    Ok(())
}

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
