//! Text to token ids and back: Mistral's tekken, a byte-level BPE.
//!
//! Owns the vocabulary, the pattern that cuts text into pieces, and the names of the special
//! tokens; reads them from tekken.json, a Hugging Face tokenizer.json, or a GGUF file's metadata.
//! It knows nothing of chat templates, pictures or models.
//!
//! Id `i` is a special token below [`Tokenizer::special_count`] and the ordinary token of rank
//! `i - special_count` from there on. Text never yields a special id, whatever it contains.
//!
//! The merging and splitting are our own, some 150 lines, since no crate fits: `tiktoken-rs` and
//! `tiktoken` bring OpenAI's vocabularies along and merge long pieces in quadratic time or split
//! with a backtracking engine that fails on them; `bpe` is linear, but needs a vocabulary in which
//! every token is reached by merges and builds large tables at each start; `tokenizers` needs the
//! list of 270,000 merges that ranks make superfluous; `kitoken` backtracks too and needs a newer
//! compiler than we do.

mod byte_chars;
mod decode;
mod hf;
mod merge;
mod merges;
mod metadata;
mod split;
mod tekken;
mod vocabulary;

use std::{collections::HashMap, fmt, sync::Arc};

use crate::{Error, ErrorKind, Result};

pub use decode::StreamDecoder;
use merge::Merger;
use split::Splitter;
use vocabulary::Vocabulary;

/// Number of a token.
pub type TokenId = u32;

/// The template that the special tokens of these files belong to (`config.version` in
/// tekken.json); the only one that is understood.
pub const TEMPLATE_VERSION: &str = "v3";

/// Name of the token that starts every conversation.
pub const BOS: &str = "<s>";
/// Name of the token that ends every answer.
pub const EOS: &str = "</s>";
/// Name of the token for what has no token. Byte-level text never needs it.
pub const UNK: &str = "<unk>";
/// Name of the token that fills up batches.
pub const PAD: &str = "<pad>";

/// Text to token ids and back. Cheap to clone; clones share their tables.
#[derive(Clone)]
pub struct Tokenizer(Arc<Tables>);

struct Tables {
    splitter: Splitter,
    vocabulary: Vocabulary,
    /// Names of the special tokens in id order.
    special: Vec<String>,
    special_ids: HashMap<String, TokenId>,
    bos: TokenId,
    eos: TokenId,
}

impl Tokenizer {
    fn new(pattern: &str, special: Vec<String>, vocabulary: Vocabulary) -> Result<Self> {
        let invalid = |what: String| Error::new(ErrorKind::InvalidTokenizer, what);
        if vocabulary.len() < 256 {
            return Err(invalid(format!(
                "a vocabulary of {} tokens: expected at least the 256 bytes",
                vocabulary.len()
            )));
        }
        if u32::try_from(special.len() + vocabulary.len()).is_err() {
            return Err(invalid("too many tokens for 32-bit ids".into()));
        }
        let mut special_ids = HashMap::with_capacity(special.len());
        for (id, name) in special.iter().enumerate() {
            if let Some(first) = special_ids.insert(name.clone(), id as TokenId) {
                return Err(invalid(format!(
                    "special tokens {first} and {id} are both named {name:?}"
                )));
            }
        }
        let required = |name: &str| {
            special_ids
                .get(name)
                .copied()
                .ok_or_else(|| invalid(format!("there is no special token {name:?}")))
        };
        Ok(Self(Arc::new(Tables {
            bos: required(BOS)?,
            eos: required(EOS)?,
            splitter: Splitter::new(pattern)?,
            vocabulary,
            special,
            special_ids,
        })))
    }

    /// The ids of `text`, in time proportional to its length (times the logarithm of its longest
    /// piece). Exactly those of mistral_common's Tekkenizer; neither BOS nor EOS is added, and
    /// text that looks like a special token is text.
    pub fn encode(&self, text: &str) -> Vec<TokenId> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        self.encode_into(text, &mut ids);
        ids
    }

    /// Appends the ids of `text` to `ids`.
    pub fn encode_into(&self, text: &str, ids: &mut Vec<TokenId>) {
        let mut merger = Merger::default();
        for piece in self.0.splitter.pieces(text) {
            self.encode_piece(piece, &mut merger, ids);
        }
    }

    /// The pieces of `text` that are encoded each on its own, with their ids.
    pub(crate) fn pieces<'a>(&self, text: &'a str) -> Vec<(&'a str, Vec<TokenId>)> {
        let mut merger = Merger::default();
        let pieces = self.0.splitter.pieces(text);
        pieces
            .map(|piece| {
                let mut ids = Vec::new();
                self.encode_piece(piece, &mut merger, &mut ids);
                (piece, ids)
            })
            .collect()
    }

    fn encode_piece(&self, piece: &str, merger: &mut Merger, ids: &mut Vec<TokenId>) {
        let (first, vocabulary) = (self.special_count(), &self.0.vocabulary);
        match vocabulary.rank(piece.as_bytes()) {
            Some(rank) => ids.push(first + rank),
            None => merger.merge(vocabulary, piece.as_bytes(), |rank| ids.push(first + rank)),
        }
    }

    /// The text of `ids`; special tokens are left out. Bytes that are not UTF-8 become U+FFFD,
    /// each run of ordinary ids on its own; so does an id that the vocabulary does not have.
    pub fn decode(&self, ids: &[TokenId]) -> String {
        StreamDecoder::new(self).decode(ids)
    }

    /// The text of `ids` with special tokens written by name.
    pub fn decode_with_special(&self, ids: &[TokenId]) -> String {
        StreamDecoder::with_special(self).decode(ids)
    }

    /// The bytes of an ordinary token, which need not be UTF-8; `None` for special and unknown ids.
    pub fn token_bytes(&self, id: TokenId) -> Option<&[u8]> {
        id.checked_sub(self.special_count())
            .and_then(|rank| self.0.vocabulary.bytes(rank))
    }

    /// The id of the special token of this name, such as `[INST]`.
    pub fn special(&self, name: &str) -> Option<TokenId> {
        self.0.special_ids.get(name).copied()
    }

    /// The name of a special token; `None` for ordinary and unknown ids.
    pub fn special_name(&self, id: TokenId) -> Option<&str> {
        self.0.special.get(id as usize).map(String::as_str)
    }

    /// Whether `id` is a special token.
    pub fn is_special(&self, id: TokenId) -> bool {
        id < self.special_count()
    }

    /// Whether `other` is this tokenizer or a clone of it.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Number of special tokens, which is also the id of the first ordinary one (byte 0).
    pub fn special_count(&self) -> u32 {
        self.0.special.len() as u32
    }

    /// Number of all tokens; ids are below it.
    pub fn vocab_size(&self) -> u32 {
        self.special_count() + self.0.vocabulary.len() as u32
    }

    /// The token that starts every conversation.
    pub fn bos(&self) -> TokenId {
        self.0.bos
    }

    /// The token that ends every answer.
    pub fn eos(&self) -> TokenId {
        self.0.eos
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("special_count", &self.special_count())
            .field("vocab_size", &self.vocab_size())
            .finish_non_exhaustive()
    }
}
