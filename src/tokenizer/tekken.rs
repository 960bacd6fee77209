//! Reads Mistral's tekken.json.
//!
//! The format is that of mistral_common's `tokens/tokenizers/tekken.py`: ordinary tokens in rank
//! order as base64, cut to `default_vocab_size`; version 3 files do not list their special tokens,
//! whose names are fixed.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{TEMPLATE_VERSION, Tokenizer, vocabulary::Vocabulary};
use crate::{Error, ErrorKind, Result};

/// The special tokens of a file that does not list them, in id order.
const SPECIAL: [&str; 20] = [
    "<unk>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
];

/// More special tokens than any file has; a bound for what a damaged one may ask for.
const MAX_SPECIAL: u32 = 1 << 20;

#[derive(Deserialize)]
struct File<'a> {
    config: Config,
    #[serde(borrow)]
    vocab: Vec<Entry<'a>>,
    special_tokens: Option<Vec<Special>>,
}

#[derive(Deserialize)]
struct Config {
    pattern: String,
    default_vocab_size: u32,
    default_num_special_tokens: u32,
    version: String,
}

#[derive(Deserialize)]
struct Entry<'a> {
    rank: u64,
    #[serde(borrow)]
    token_bytes: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Special {
    rank: u64,
    token_str: String,
}

impl Tokenizer {
    /// A tokenizer from the content of a tekken.json. `name` is for error messages.
    pub fn from_tekken(name: &str, json: &[u8]) -> Result<Self> {
        read(json).map_err(|e| e.context(name))
    }
}

fn read(json: &[u8]) -> Result<Tokenizer> {
    let invalid = |what: String| Error::new(ErrorKind::InvalidTokenizer, what);
    let file: File = serde_json::from_slice(json)
        .map_err(|e| invalid(format!("this is not a tekken.json: {e}")).with_source(e))?;
    let config = file.config;
    if config.version != TEMPLATE_VERSION {
        return Err(Error::new(
            ErrorKind::UnsupportedModel,
            format!(
                "tokenizer version {:?}: only {TEMPLATE_VERSION:?}, that of Pixtral-12B-2409, is supported",
                config.version
            ),
        ));
    }

    let special_count = config.default_num_special_tokens;
    let ordinary = config
        .default_vocab_size
        .checked_sub(special_count)
        .filter(|_| special_count <= MAX_SPECIAL)
        .ok_or_else(|| {
            invalid(format!(
                "config: {special_count} special tokens in a vocabulary of {}",
                config.default_vocab_size
            ))
        })?;
    let mut vocabulary = Vocabulary::with_capacity(file.vocab.len().min(ordinary as usize));
    for (rank, entry) in file.vocab.iter().enumerate().take(ordinary as usize) {
        if entry.rank != rank as u64 {
            return Err(invalid(format!(
                "vocab: expected rank {rank}, found {}",
                entry.rank
            )));
        }
        let bytes = STANDARD.decode(entry.token_bytes.as_bytes()).map_err(|e| {
            invalid(format!("vocab: token_bytes of rank {rank}: {e}")).with_source(e)
        })?;
        vocabulary.push(&bytes)?;
    }
    let special = special_names(file.special_tokens, special_count)?;
    Tokenizer::new(&config.pattern, special, vocabulary)
}

/// The names of `count` special tokens: those listed, then `<SPECIAL_n>`.
fn special_names(listed: Option<Vec<Special>>, count: u32) -> Result<Vec<String>> {
    let invalid = |what: String| Err(Error::new(ErrorKind::InvalidTokenizer, what));
    let mut names: Vec<String> = match listed {
        Some(tokens) => {
            if let Some((i, t)) = (0..).zip(&tokens).find(|(i, t)| t.rank != *i) {
                return invalid(format!(
                    "special_tokens: expected rank {i}, found {}",
                    t.rank
                ));
            }
            tokens.into_iter().map(|t| t.token_str).collect()
        }
        None => SPECIAL.map(str::to_owned).into(),
    };
    if names.len() > count as usize {
        return invalid(format!(
            "{} special tokens, but default_num_special_tokens is {count}",
            names.len()
        ));
    }
    names.extend((names.len()..count as usize).map(|id| format!("<SPECIAL_{id}>")));
    Ok(names)
}
