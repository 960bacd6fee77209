//! Reads a Hugging Face tokenizer.json of a tekken model.
//!
//! Such a file writes the same vocabulary in another form (GPT-2's characters for bytes, a list
//! of merges). Everything that would make it encode otherwise than tekken does is refused, so the
//! tokenizer read here is the one read from the model's tekken.json.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Tokenizer, byte_chars, vocabulary::Vocabulary};
use crate::{Error, ErrorKind, Result};

#[derive(Deserialize)]
struct File {
    added_tokens: Vec<Added>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Step>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    special: bool,
}

/// One step of the pre-tokenizer.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Step {
    Sequence {
        pretokenizers: Vec<Step>,
    },
    Split {
        pattern: Pattern,
        behavior: String,
        #[serde(default)]
        invert: bool,
    },
    ByteLevel {
        add_prefix_space: bool,
        #[serde(default = "yes")]
        use_regex: bool,
    },
    #[serde(other)]
    Other,
}

fn yes() -> bool {
    true
}

/// Written as `{"Regex": …}` or `{"String": …}`.
#[derive(Deserialize)]
struct Pattern {
    #[serde(rename = "Regex")]
    regex: Option<String>,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: String,
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
}

/// Older files write a pair as one string with a space.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Line(String),
}

impl Tokenizer {
    /// A tokenizer from the content of a tokenizer.json. `name` is for error messages.
    pub fn from_hf(name: &str, json: &[u8]) -> Result<Self> {
        read(json).map_err(|e| e.context(name))
    }
}

fn invalid(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidTokenizer, what)
}

fn read(json: &[u8]) -> Result<Tokenizer> {
    let file: File = serde_json::from_slice(json).map_err(|e| {
        invalid(format!(
            "this is not a tokenizer.json of byte-level BPE: {e}"
        ))
        .with_source(e)
    })?;
    let model = file.model;
    let plain = |s: &Option<String>| s.as_deref().is_none_or(str::is_empty);
    if model.kind != "BPE"
        || model.byte_fallback
        || file.normalizer.is_some()
        || !plain(&model.continuing_subword_prefix)
        || !plain(&model.end_of_word_suffix)
    {
        return Err(invalid(
            "expected a plain byte-level BPE model without normalizer, as tekken's is",
        ));
    }
    let pattern = pattern(file.pre_tokenizer)?;

    let mut added = file.added_tokens;
    added.sort_by_key(|t| t.id);
    for (i, token) in (0..).zip(&added) {
        if token.id != i || !token.special {
            return Err(invalid(format!(
                "added token {} {:?}: expected special tokens only, with ids from 0 on",
                token.id, token.content
            )));
        }
    }
    let mut ordinary: Vec<(u32, &str)> = Vec::with_capacity(model.vocab.len());
    for (text, &id) in &model.vocab {
        match added.get(id as usize) {
            None => ordinary.push((id, text)),
            Some(special) if special.content == *text => {}
            Some(special) => {
                return Err(invalid(format!(
                    "id {id} is both {text:?} and the special token {:?}",
                    special.content
                )));
            }
        }
    }
    ordinary.sort_unstable();
    let mut vocabulary = Vocabulary::with_capacity(ordinary.len());
    let mut bytes = Vec::new();
    for (expected, &(id, text)) in (added.len()..).zip(&ordinary) {
        if id as usize != expected {
            return Err(invalid(format!(
                "vocab: expected id {expected}, found {id}"
            )));
        }
        byte_chars::to_bytes(text, &mut bytes)
            .ok_or_else(|| invalid(format!("vocab: {text:?} (id {id}) is not in byte form")))?;
        vocabulary.push(&bytes)?;
    }
    check_merges(&model.merges, &model.vocab)?;
    let special = added.into_iter().map(|t| t.content).collect();
    Tokenizer::new(&pattern, special, vocabulary)
}

/// The pattern of the one `Split` step, if the steps do what tekken does and nothing else.
fn pattern(step: Option<Step>) -> Result<String> {
    let mut pattern = None;
    for step in flatten(step) {
        match step {
            Step::Split {
                pattern: Pattern { regex: Some(regex) },
                behavior,
                invert: false,
            } if behavior == "Isolated" && pattern.is_none() => pattern = Some(regex),
            Step::ByteLevel {
                add_prefix_space: false,
                use_regex: false,
            } => {}
            _ => {
                return Err(invalid(
                    "pre_tokenizer: expected one isolating Split by a regular expression, then ByteLevel",
                ));
            }
        }
    }
    pattern.ok_or_else(|| invalid("pre_tokenizer: there is no Split by a regular expression"))
}

/// The steps of a sequence one after another; sequences do not nest in such files.
fn flatten(step: Option<Step>) -> Box<dyn Iterator<Item = Step>> {
    match step {
        Some(Step::Sequence { pretokenizers }) => Box::new(pretokenizers.into_iter()),
        step => Box::new(step.into_iter()),
    }
}

/// Merges are applied in the order of this list, ranks in the order of ids: the two agree when
/// the list is sorted by the id of what is merged.
fn check_merges(merges: &[Merge], vocab: &HashMap<String, u32>) -> Result<()> {
    let mut last = 0;
    for merge in merges {
        let (left, right) = match merge {
            Merge::Pair(left, right) => (left.as_str(), right.as_str()),
            Merge::Line(line) => line
                .split_once(' ')
                .ok_or_else(|| invalid(format!("merges: {line:?} is not a pair")))?,
        };
        let joined = [left, right].concat();
        let id = *vocab
            .get(&joined)
            .ok_or_else(|| invalid(format!("merges: {joined:?} is not in the vocabulary")))?;
        if id < last {
            return Err(invalid(format!(
                "merges: {joined:?} (id {id}) comes after a merge with id {last}; tekken's order is that of the ids"
            )));
        }
        last = id;
    }
    Ok(())
}
