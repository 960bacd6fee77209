//! The tokenizer as llguidance sees it: a trie of the ordinary tokens' bytes.

use crate::{
    Error, ErrorKind, Result,
    tokenizer::{TokenId, Tokenizer},
};
use llguidance::toktrie::{TokRxInfo, TokTrie, TokenizerEnv};

/// Bytes of the longest token that a constraint can use. toktrie ends the process for tokens of
/// more than 1024.
const LONGEST: usize = 512;

/// Most bytes of all tokens together: toktrie counts nodes, of which there are at most as many, in
/// 22 bits.
const MOST_BYTES: usize = 1 << 21;

/// A tokenizer and the trie of its tokens.
pub(super) struct Vocabulary {
    tokenizer: Tokenizer,
    trie: TokTrie,
}

impl Vocabulary {
    /// The vocabulary of `tokenizer`. Special tokens have no bytes here, so that no text and no
    /// grammar leads to one.
    pub(super) fn new(tokenizer: &Tokenizer) -> Result<Self> {
        let words: Vec<Vec<u8>> = (0..tokenizer.vocab_size())
            .map(|id| match tokenizer.token_bytes(id) {
                Some(bytes) if bytes.len() <= LONGEST => bytes.to_vec(),
                _ => Vec::new(),
            })
            .collect();
        let n_bytes: usize = words.iter().map(Vec::len).sum();
        if n_bytes > MOST_BYTES {
            return Err(Error::new(
                ErrorKind::InvalidTokenizer,
                format!(
                    "the vocabulary is too large for constraints: its tokens have {n_bytes} bytes, \
                     expected at most {MOST_BYTES}"
                ),
            ));
        }
        let info = TokRxInfo::new(tokenizer.vocab_size(), tokenizer.eos());
        Ok(Self {
            tokenizer: tokenizer.clone(),
            trie: TokTrie::from(&info, &words),
        })
    }
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie
            .tokenize_with_greedy_fallback(bytes, |text| self.tokenizer.encode(text))
    }

    /// So that llguidance says which text is certain and leaves its tokens to us: it looks a few
    /// tokens back only, and would now and then begin a word in tokens that the model would not.
    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}
