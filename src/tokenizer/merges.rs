//! The list of merges, which llama.cpp and Hugging Face's tokenizers want and ranks make
//! superfluous: derived for files that are given to them. Knows the vocabulary only.
//!
//! A token is made of the two parts that its bytes have been merged into when its own rank is in
//! turn. No other pair of parts can ever meet: where no merge crosses the token's ends, the merges
//! within it are those of the token by itself.

use super::{Tokenizer, byte_chars, merge::Merger};

impl Tokenizer {
    /// The merges in order of their rank, each as two tokens in GPT-2's byte form with a space
    /// between. A token that merges cannot make, since it has more than two parts when its rank is
    /// in turn, has none: it is found only where it is a whole piece of text.
    pub(super) fn merges(&self) -> Vec<String> {
        let vocabulary = &self.0.vocabulary;
        let mut merger = Merger::default();
        let mut merges = Vec::with_capacity(vocabulary.len());
        let mut parts = Vec::new();
        for (rank, token) in (0..).map_while(|rank| Some((rank, vocabulary.bytes(rank)?))) {
            parts.clear();
            merger.merge_below(vocabulary, rank, token, |part| parts.push(part));
            let text = |part| vocabulary.bytes(part).map(byte_chars::to_text);
            if let [left, right] = parts[..]
                && let (Some(left), Some(right)) = (text(left), text(right))
            {
                merges.push(format!("{left} {right}"));
            }
        }
        merges
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BOS, EOS, Vocabulary, metadata::TEKKEN_PATTERN};
    use super::*;
    use proptest::prelude::*;

    fn tokenizer(tokens: &[&str]) -> Tokenizer {
        let mut vocabulary = Vocabulary::with_capacity(300);
        (0..=255u8).for_each(|b| vocabulary.push(&[b]).unwrap());
        tokens
            .iter()
            .for_each(|t| vocabulary.push(t.as_bytes()).unwrap());
        let special = [BOS, EOS].map(str::to_owned).to_vec();
        Tokenizer::new(TEKKEN_PATTERN, special, vocabulary).unwrap()
    }

    /// Byte-pair encoding by a list of merges, as those who want one do it.
    fn by_merges(merges: &[String], text: &str) -> Vec<String> {
        let mut parts: Vec<String> = text.chars().map(String::from).collect();
        loop {
            let best = (1..parts.len())
                .filter_map(|i| {
                    let pair = format!("{} {}", parts[i - 1], parts[i]);
                    Some((merges.iter().position(|m| *m == pair)?, i))
                })
                .min();
            let Some((_, i)) = best else { return parts };
            let right = parts.remove(i);
            parts[i - 1].push_str(&right);
        }
    }

    #[test]
    fn a_token_that_merges_cannot_make_has_none() {
        let merges = tokenizer(&["ab", "abc", "xyz", " a"]).merges();
        assert_eq!(merges, ["a b", "ab c", "\u{120} a"]);
    }

    proptest! {
        #[test]
        fn merges_give_the_tokens_that_ranks_give(text in "[abc]{1,40}") {
            let t = tokenizer(&["ab", "bc", "aa", "abc", "aab", "cc", "ccab", "aaaa", "bcbc", "cab"]);
            let mut by_ranks = Vec::new();
            let vocabulary = &t.0.vocabulary;
            Merger::default().merge(vocabulary, text.as_bytes(), |rank| {
                by_ranks.push(byte_chars::to_text(vocabulary.bytes(rank).unwrap()));
            });
            prop_assert_eq!(by_merges(&t.merges(), &text), by_ranks);
        }
    }
}
