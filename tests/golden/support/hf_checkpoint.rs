//! The Hugging Face layout of the small model, made from Mistral's.
//!
//! Both hold the same weights, so the set that is committed keeps only the headers of the Hugging
//! Face files. What is rebuilt from them here, with the renaming and the exchange of rows written
//! out independently of the library, must have the checksums of the original files.

use super::{read, root, section};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with the Hugging Face layout, removed when this is dropped if it was made here.
pub struct HfCheckpoint {
    path: PathBuf,
    _made: Option<TempDir>,
}

impl HfCheckpoint {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The Hugging Face layout of the set's small model, if the set has that section.
pub fn hf_checkpoint() -> Option<HfCheckpoint> {
    let section = section("checkpoint")?;
    let stored = section.join("hf");
    let files: Vec<PathBuf> = fs::read_dir(&stored)
        .unwrap_or_else(|e| panic!("{}: {e}", stored.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    let headers: Vec<&PathBuf> = files
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "header"))
        .collect();
    if headers.is_empty() {
        return Some(HfCheckpoint {
            path: stored,
            _made: None,
        });
    }
    let made = TempDir::new().unwrap();
    for file in &files {
        let name = file.file_name().unwrap();
        if headers.contains(&file) {
            let shard = rebuild(&read(file), &section.join("mistral"));
            let name = Path::new(name).file_stem().unwrap().to_str().unwrap();
            assert_eq!(
                sha256(&shard),
                expected_sha256(&format!("checkpoint/hf/{name}")),
                "{name} was not rebuilt as it was"
            );
            fs::write(made.path().join(name), shard).unwrap();
        } else {
            fs::copy(file, made.path().join(name)).unwrap();
        }
    }
    Some(HfCheckpoint {
        path: made.path().to_path_buf(),
        _made: Some(made),
    })
}

/// The file that begins with `header`, with the weights of the checkpoint in `mistral`.
fn rebuild(header: &[u8], mistral: &Path) -> Vec<u8> {
    let weights = read(mistral.join("consolidated.safetensors"));
    let weights = SafeTensors::deserialize(&weights).unwrap();
    let params = super::json(mistral.join("params.json"));
    let number = |value: &serde_json::Value| value.as_u64().unwrap() as usize;
    let text_head = number(&params["head_dim"]);
    let vision = &params["vision_encoder"];
    let vision_head = number(&vision["hidden_size"]) / number(&vision["num_attention_heads"]);

    let json: serde_json::Value = serde_json::from_slice(&header[8..]).unwrap();
    let mut shard = header.to_vec();
    let mut entries: Vec<_> = json
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .collect();
    entries.sort_by_key(|(_, info)| info["data_offsets"][0].as_u64());
    for (name, info) in entries {
        let tensor = weights.tensor(&mistral_name(name)).unwrap();
        let start = header.len() + number(&info["data_offsets"][0]);
        assert_eq!(shard.len(), start, "{name}: the header leaves no gaps");
        if name.ends_with("q_proj.weight") || name.ends_with("k_proj.weight") {
            let head = if name.starts_with("vision_tower") {
                vision_head
            } else {
                text_head
            };
            shard.extend(halves_apart(tensor.data(), tensor.shape()[0], head));
        } else {
            shard.extend(tensor.data());
        }
    }
    shard
}

/// Mistral's name of the tensor that Hugging Face calls `name`.
fn mistral_name(name: &str) -> String {
    let pairs: &[(&str, &str)] = if name.starts_with("language_model.") {
        &[
            ("language_model.model.embed_tokens", "tok_embeddings"),
            ("language_model.model.", ""),
            ("language_model.lm_head", "output"),
            ("input_layernorm", "attention_norm"),
            ("post_attention_layernorm", "ffn_norm"),
            ("self_attn.", "attention."),
            ("mlp.", "feed_forward."),
        ]
    } else {
        &[
            ("vision_tower.", "vision_encoder."),
            (
                "multi_modal_projector.linear_1",
                "vision_language_adapter.w_in",
            ),
            (
                "multi_modal_projector.linear_2",
                "vision_language_adapter.w_out",
            ),
        ]
    };
    let both: &[(&str, &str)] = &[
        ("q_proj", "wq"),
        ("k_proj", "wk"),
        ("v_proj", "wv"),
        ("o_proj", "wo"),
        ("gate_proj", "w1"),
        ("down_proj", "w2"),
        ("up_proj", "w3"),
    ];
    pairs
        .iter()
        .chain(both)
        .fold(name.to_string(), |name, (from, to)| name.replace(from, to))
}

/// The rows of each head with the even ones first and the odd ones after them.
fn halves_apart(data: &[u8], rows: usize, head: usize) -> Vec<u8> {
    let row = data.len() / rows;
    let mut out = Vec::with_capacity(data.len());
    for head_data in data.chunks_exact(head * row) {
        for parity in [0, 1] {
            for pair in head_data.chunks_exact(2 * row) {
                out.extend(&pair[parity * row..(parity + 1) * row]);
            }
        }
    }
    out
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The checksum that SHA256SUMS gives for `file`.
fn expected_sha256(file: &str) -> String {
    let sums = String::from_utf8(read(root().join("SHA256SUMS"))).unwrap();
    let line = sums
        .lines()
        .find(|line| line.ends_with(&format!("  {file}")))
        .unwrap_or_else(|| panic!("SHA256SUMS does not list {file}"));
    line.split_once(' ').unwrap().0.to_string()
}
