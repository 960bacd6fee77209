//! The tokenizer in a GGUF file's metadata.
//!
//! The keys are llama.cpp's `tokenizer.ggml.*`, with tokens in GPT-2's characters, plus the
//! pattern and the template's version, which llama.cpp has no key for. Merges are left out: a
//! pair's rank is the id of the token it makes, so they can be derived. Knows the container's
//! key-value list and nothing of tensors.

use super::{
    BOS, EOS, PAD, TEMPLATE_VERSION, TokenId, Tokenizer, UNK, byte_chars, vocabulary::Vocabulary,
};
use crate::{Error, ErrorKind, Result, gguf::Metadata};

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TOKEN_TYPE: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
const PATTERN: &str = "pixtral.tokenizer.pattern";
const TEMPLATE: &str = "pixtral.template.version";

/// llama.cpp's names for byte-level BPE and for tekken's pattern.
const GPT2: &str = "gpt2";
const TEKKEN: &str = "tekken";

/// llama.cpp's token types (`llama_token_type` in its llama.h).
const NORMAL: i32 = 1;
const CONTROL: i32 = 3;

/// Keys for the ids of special tokens that llama.cpp looks for.
const SPECIAL_IDS: [(&str, &str); 4] = [
    ("tokenizer.ggml.bos_token_id", BOS),
    ("tokenizer.ggml.eos_token_id", EOS),
    ("tokenizer.ggml.unknown_token_id", UNK),
    ("tokenizer.ggml.padding_token_id", PAD),
];

/// What the name "tekken" stands for in files that llama.cpp made, which hold no pattern: that of
/// every version 3 tekken.json.
pub(super) const TEKKEN_PATTERN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
);

impl Tokenizer {
    /// Writes everything that [`from_metadata`](Self::from_metadata) needs.
    pub fn to_metadata(&self, metadata: &mut Metadata) {
        let special = self.0.special.iter().cloned();
        let ordinary = (self.special_count()..self.vocab_size())
            .filter_map(|id| self.token_bytes(id))
            .map(byte_chars::to_text);
        let tokens: Vec<String> = special.chain(ordinary).collect();
        let types: Vec<i32> = (0..self.vocab_size())
            .map(|id| if self.is_special(id) { CONTROL } else { NORMAL })
            .collect();
        metadata.insert(MODEL, GPT2);
        metadata.insert(PRE, TEKKEN);
        metadata.insert(TOKENS, tokens);
        metadata.insert(TOKEN_TYPE, types);
        for (key, name) in SPECIAL_IDS {
            if let Some(id) = self.special(name) {
                metadata.insert(key, id);
            }
        }
        metadata.insert("tokenizer.ggml.add_bos_token", true);
        metadata.insert("tokenizer.ggml.add_eos_token", false);
        metadata.insert("tokenizer.ggml.add_space_prefix", false);
        metadata.insert(PATTERN, self.0.splitter.pattern());
        metadata.insert(TEMPLATE, TEMPLATE_VERSION);
    }

    /// Writes what llama.cpp needs to cut text as this tokenizer does: `tokenizer.ggml.*` with the
    /// merges, and no key of ours.
    ///
    /// # Errors
    /// `UnsupportedModel` if the pattern is not the one that llama.cpp knows as "tekken".
    pub fn to_llama_cpp_metadata(&self, metadata: &mut Metadata) -> Result<()> {
        if self.0.splitter.pattern() != TEKKEN_PATTERN {
            return Err(unsupported(format!(
                "{PATTERN} is {:?}: llama.cpp knows no name for this pattern, only for tekken's",
                self.0.splitter.pattern()
            )));
        }
        self.to_metadata(metadata);
        metadata.remove(PATTERN);
        metadata.remove(TEMPLATE);
        metadata.insert(MERGES, self.merges());
        Ok(())
    }

    /// The tokenizer of a GGUF file: one of ours, or one that llama.cpp's converter made of a
    /// tekken model.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        let (model, pre) = (metadata.str(MODEL)?, metadata.str(PRE)?);
        if (model, pre) != (GPT2, TEKKEN) {
            return Err(unsupported(format!(
                "{MODEL} is {model:?} and {PRE} {pre:?}: expected {GPT2:?} and {TEKKEN:?}"
            )));
        }
        let pattern = match metadata.get(PATTERN) {
            Some(_) => metadata.str(PATTERN)?,
            None => TEKKEN_PATTERN,
        };
        if metadata.contains(TEMPLATE) && metadata.str(TEMPLATE)? != TEMPLATE_VERSION {
            return Err(unsupported(format!(
                "{TEMPLATE} is {:?}: only {TEMPLATE_VERSION:?} is supported",
                metadata.str(TEMPLATE)?
            )));
        }
        let (tokens, types) = (metadata.strings(TOKENS)?, metadata.i32s(TOKEN_TYPE)?);
        let (special, vocabulary) = tables(tokens, types)?;
        let tokenizer = Self::new(pattern, special, vocabulary)?;
        for (key, name) in SPECIAL_IDS {
            let expected = tokenizer.special(name);
            if metadata.contains(key) && Some(metadata.u32(key)?) != expected {
                return Err(invalid(format!(
                    "metadata key {key} is {}, but {name:?} is {}",
                    metadata.u32(key)?,
                    expected.map_or("missing".to_owned(), |id: TokenId| format!("token {id}"))
                )));
            }
        }
        Ok(tokenizer)
    }
}

/// The names of the special tokens, which come first, and the ordinary tokens after them.
fn tables(tokens: &[String], types: &[i32]) -> Result<(Vec<String>, Vocabulary)> {
    if tokens.len() != types.len() {
        return Err(invalid(format!(
            "{} tokens in {TOKENS}, but {} in {TOKEN_TYPE}",
            tokens.len(),
            types.len()
        )));
    }
    let special = types.iter().take_while(|&&ty| ty == CONTROL).count();
    let mut vocabulary = Vocabulary::with_capacity(tokens.len() - special);
    let mut bytes = Vec::new();
    for id in special..tokens.len() {
        let (token, ty) = (&tokens[id], types[id]);
        if ty != NORMAL {
            return Err(invalid(format!(
                "{TOKEN_TYPE}: token {id} is of type {ty}; expected ordinary ({NORMAL}) tokens after the {special} control ({CONTROL}) tokens"
            )));
        }
        byte_chars::to_bytes(token, &mut bytes).ok_or_else(|| {
            invalid(format!(
                "{TOKENS}: token {id} {token:?} is not in byte form"
            ))
        })?;
        vocabulary.push(&bytes)?;
    }
    Ok((tokens[..special].to_vec(), vocabulary))
}

fn invalid(what: String) -> Error {
    Error::new(ErrorKind::InvalidTokenizer, what)
}

fn unsupported(what: String) -> Error {
    Error::new(ErrorKind::UnsupportedModel, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Array, Value};

    fn metadata() -> Metadata {
        let mut vocabulary = Vocabulary::with_capacity(300);
        (0..=255u8).for_each(|b| vocabulary.push(&[b]).unwrap());
        vocabulary.push(b" a").unwrap();
        let special = [UNK, BOS, EOS].map(str::to_owned).to_vec();
        let mut metadata = Metadata::new();
        Tokenizer::new(TEKKEN_PATTERN, special, vocabulary)
            .unwrap()
            .to_metadata(&mut metadata);
        metadata
    }

    #[test]
    fn comes_back_as_it_was() {
        let metadata = metadata();
        let tokenizer = Tokenizer::from_metadata(&metadata).unwrap();
        assert_eq!(tokenizer.vocab_size(), 260);
        assert_eq!(tokenizer.encode(" a"), [259]);
        let mut again = Metadata::new();
        tokenizer.to_metadata(&mut again);
        assert_eq!(again, metadata);
    }

    #[test]
    fn a_file_without_our_own_keys_is_read_as_tekken() {
        let mut metadata = metadata();
        metadata.remove(PATTERN);
        metadata.remove(TEMPLATE);
        let tokenizer = Tokenizer::from_metadata(&metadata).unwrap();
        assert_eq!(tokenizer.encode("a a"), [100, 259]);
    }

    #[test]
    fn llama_cpp_gets_its_own_keys_and_no_other_pattern() {
        let mut tokenizer = Tokenizer::from_metadata(&metadata()).unwrap();
        let mut theirs = Metadata::new();
        tokenizer.to_llama_cpp_metadata(&mut theirs).unwrap();
        assert!(theirs.iter().all(|(k, _)| k.starts_with("tokenizer.ggml.")));
        assert_eq!(theirs.strings(MERGES).unwrap(), ["\u{120} a"]);
        let mut again = Metadata::new();
        let back = Tokenizer::from_metadata(&theirs).unwrap();
        back.to_metadata(&mut again);
        assert_eq!(again, metadata());

        let mut other = metadata();
        other.insert(PATTERN, r"\s+|\S+");
        tokenizer = Tokenizer::from_metadata(&other).unwrap();
        let e = tokenizer
            .to_llama_cpp_metadata(&mut Metadata::new())
            .unwrap_err();
        assert!(e.message().contains("no name for this pattern"), "{e}");
    }

    #[test]
    fn contradictions_are_refused_by_name() {
        type Change = fn(&mut Metadata);
        let cases: [(Change, &str); 7] = [
            (
                |m| m.insert(MODEL, "llama"),
                "tokenizer.ggml.model is \"llama\"",
            ),
            (|m| m.insert(TEMPLATE, "v7"), "pixtral.template.version"),
            (|m| m.insert(TOKEN_TYPE, vec![3, 3, 3]), "260 tokens"),
            (|m| m.insert(TOKEN_TYPE, vec![NORMAL; 260]), "rank 0"),
            (
                |m| m.insert("tokenizer.ggml.eos_token_id", 1u32),
                "eos_token_id is 1",
            ),
            (|m| m.insert(PATTERN, "("), "not a regular expression"),
            (
                |m| {
                    let mut tokens = m.strings(TOKENS).unwrap().to_vec();
                    tokens[259] = " a".into();
                    m.insert(TOKENS, Value::Array(Array::String(tokens)));
                },
                "token 259 \" a\" is not in byte form",
            ),
        ];
        for (change, expected) in cases {
            let mut metadata = metadata();
            change(&mut metadata);
            let message = Tokenizer::from_metadata(&metadata).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
