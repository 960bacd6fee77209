//! Text that must come next, in the tokens that a model would write it in.
//!
//! Owns the end of the answer so far, since text is encoded in pieces and a piece may have begun.
//! It uses the tokenizer and knows no grammars.

use crate::tokenizer::{TokenId, Tokenizer};

/// The end of an answer, from the beginning of a piece on.
pub(super) struct Tail {
    tokenizer: Tokenizer,
    bytes: Vec<u8>,
    ids: Vec<TokenId>,
}

impl Tail {
    /// The end of an empty answer.
    pub(super) fn new(tokenizer: &Tokenizer) -> Self {
        Self {
            tokenizer: tokenizer.clone(),
            bytes: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// Takes note of the answer's next token.
    pub(super) fn push(&mut self, id: TokenId) {
        self.bytes
            .extend(self.tokenizer.token_bytes(id).unwrap_or_default());
        self.ids.push(id);
    }

    /// The tokens of `next`, which follows, up to its last piece: how that is encoded depends on what
    /// comes then. None if the answer began the piece at its end in tokens that are not the usual
    /// ones.
    pub(super) fn certain(&mut self, next: &[u8]) -> Vec<TokenId> {
        let all = [self.bytes.as_slice(), next].concat();
        let text = all.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let mut pieces = self.tokenizer.pieces(text);
        pieces.pop();
        let mut certain = Vec::new();
        let (mut start, mut begun) = (0, 0);
        for (piece, ids) in pieces {
            let end = start + piece.len();
            if end <= self.bytes.len() {
                begun = end;
            } else if start >= self.bytes.len() {
                certain.extend(ids);
            } else {
                let own = self.ids_from(start);
                let Some(rest) = own.and_then(|own| ids.strip_prefix(own)) else {
                    break;
                };
                certain.extend(rest);
            }
            start = end;
        }
        self.forget(begun);
        certain
    }

    /// Forgets the first `n_bytes` bytes, if a token ends there.
    fn forget(&mut self, n_bytes: usize) {
        if let Some(n_ids) = self.n_ids(n_bytes) {
            self.bytes.drain(..n_bytes);
            self.ids.drain(..n_ids);
        }
    }

    /// The ids of the bytes from `start` on, if a token starts there.
    fn ids_from(&self, start: usize) -> Option<&[TokenId]> {
        self.n_ids(start).map(|n| &self.ids[n..])
    }

    /// Number of ids of the first `n_bytes` bytes, if a token ends there.
    fn n_ids(&self, n_bytes: usize) -> Option<usize> {
        let mut end = 0;
        let mut n = 0;
        while end < n_bytes {
            end += self.tokenizer.token_bytes(self.ids[n])?.len();
            n += 1;
        }
        (end == n_bytes).then_some(n)
    }
}
