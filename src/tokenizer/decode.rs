//! Token ids to text, one id at a time.
//!
//! Bytes wait here until they are whole characters, so what comes out piece by piece is exactly
//! what decoding all ids at once gives. Knows the tokenizer's tables and nothing else.

use super::{TokenId, Tokenizer};

/// Turns ids into text as they are generated.
#[derive(Clone, Debug)]
pub struct StreamDecoder {
    tokenizer: Tokenizer,
    special: bool,
    /// Bytes of a character whose end has not come yet: at most three between calls.
    pending: Vec<u8>,
}

impl StreamDecoder {
    /// A decoder that leaves special tokens out.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        Self {
            tokenizer: tokenizer.clone(),
            special: false,
            pending: Vec::new(),
        }
    }

    /// A decoder that writes special tokens by name.
    pub fn with_special(tokenizer: &Tokenizer) -> Self {
        Self {
            special: true,
            ..Self::new(tokenizer)
        }
    }

    /// The text that is certain once `id` has come; often empty within a character of several
    /// tokens. Broken UTF-8 becomes U+FFFD, as does an id that the vocabulary does not have.
    pub fn push(&mut self, id: TokenId) -> String {
        let mut text = String::new();
        self.push_into(id, &mut text);
        text
    }

    /// The end of the text: U+FFFD if a character was left incomplete, else nothing. The decoder
    /// is then as new.
    pub fn finish(&mut self) -> String {
        let mut text = String::new();
        self.end_run(&mut text);
        text
    }

    pub(super) fn decode(mut self, ids: &[TokenId]) -> String {
        let mut text = String::with_capacity(ids.len() * 4);
        ids.iter().for_each(|&id| self.push_into(id, &mut text));
        self.end_run(&mut text);
        text
    }

    fn push_into(&mut self, id: TokenId, text: &mut String) {
        if let Some(bytes) = self.tokenizer.token_bytes(id) {
            self.pending.extend_from_slice(bytes);
            drain_text(&mut self.pending, text);
            return;
        }
        self.end_run(text);
        match self.tokenizer.special_name(id) {
            Some(name) if self.special => text.push_str(name),
            Some(_) => {}
            None => text.push(char::REPLACEMENT_CHARACTER),
        }
    }

    /// Ends a run of ordinary ids: what waits for its end will not get one.
    fn end_run(&mut self, text: &mut String) {
        if !self.pending.is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            self.pending.clear();
        }
    }
}

/// Moves everything but an incomplete last character from `bytes` to `text`.
fn drain_text(bytes: &mut Vec<u8>, text: &mut String) {
    let mut done = 0;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        done += chunk.valid().len();
        let invalid = chunk.invalid();
        let incomplete = || str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
        if invalid.is_empty() {
            continue;
        }
        // Only the last chunk can be the start of a good character.
        if done + invalid.len() < bytes.len() || !incomplete() {
            text.push(char::REPLACEMENT_CHARACTER);
            done += invalid.len();
        }
    }
    bytes.drain(..done);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_joined_are_the_whole_and_nothing_waits_longer_than_a_character(
            bytes in prop::collection::vec(
                prop::sample::select(b"a\x80\x9f\xa0\xbf\xc0\xc3\xe0\xe2\xed\xef\xf0\xf4\xf5\xff".to_vec()),
                0..24,
            ),
            cut in 1usize..5,
        ) {
            let (mut pending, mut text) = (Vec::new(), String::new());
            for part in bytes.chunks(cut) {
                pending.extend_from_slice(part);
                drain_text(&mut pending, &mut text);
                prop_assert!(pending.len() < 4);
            }
            if !pending.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }
}
