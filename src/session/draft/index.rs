//! Where the last few tokens came before, and what followed them there.
//!
//! Owns an index of the n-grams of one sequence that grows token by token in constant time. It
//! knows tokens and patches, nothing of models or probabilities.

use super::super::history::Slot;
use crate::tokenizer::TokenId;
use std::collections::HashMap;

/// Tokens of the shortest n-gram that is looked up: a single token says too little.
pub(super) const SHORTEST: usize = 2;

/// Tokens of the longest n-gram that is looked up.
pub(super) const LONGEST: usize = 4;

/// An n-gram in its first `n` elements; [`NO_TOKEN`] in the others.
type Key = [TokenId; LONGEST];

/// No vocabulary has this id: its size is a u32.
const NO_TOKEN: TokenId = TokenId::MAX;

/// What probably comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    /// Tokens of the n-gram that was found.
    pub(super) n: usize,
    /// The tokens that followed it; at least one.
    pub(super) tokens: Vec<TokenId>,
}

/// The n-grams of a sequence.
#[derive(Default)]
pub(super) struct NgramIndex {
    /// The sequence; patches are `None`.
    tokens: Vec<Option<TokenId>>,
    /// For each n-gram the position of the token that followed its last occurrence.
    followers: HashMap<Key, usize>,
}

impl NgramIndex {
    /// The n-grams of `history`.
    pub(super) fn new(history: &[Slot]) -> Self {
        let mut index = Self::default();
        for &slot in history {
            index.push(slot);
        }
        index
    }

    /// Appends a slot to the sequence.
    pub(super) fn push(&mut self, slot: Slot) {
        let token = match slot {
            Slot::Token(id) => Some(id),
            Slot::Patch { .. } => None,
        };
        if token.is_some() {
            for n in SHORTEST..=LONGEST {
                if let Some(key) = self.tail(n) {
                    self.followers.insert(key, self.tokens.len());
                }
            }
        }
        self.tokens.push(token);
    }

    /// Up to `most` tokens that followed the last earlier occurrence of the longest known n-gram
    /// at the end of the sequence, ending where a patch followed. An occurrence so near the end
    /// that the sequence ends first repeats itself: what followed it follows again.
    pub(super) fn propose(&self, most: usize) -> Option<Proposal> {
        let (n, start) = (SHORTEST..=LONGEST)
            .rev()
            .find_map(|n| Some((n, *self.followers.get(&self.tail(n)?)?)))?;
        let period = self.tokens.len() - start;
        let tokens: Vec<TokenId> = (0..most)
            .map_while(|i| self.tokens[start + i % period])
            .collect();
        (!tokens.is_empty()).then_some(Proposal { n, tokens })
    }

    /// The last `n` tokens, unless there are fewer or a patch is among them.
    fn tail(&self, n: usize) -> Option<Key> {
        let start = self.tokens.len().checked_sub(n)?;
        let mut key = [NO_TOKEN; LONGEST];
        for (to, from) in key.iter_mut().zip(&self.tokens[start..]) {
            *to = (*from)?;
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(id: TokenId) -> Slot {
        Slot::Token(id)
    }

    fn index(ids: &[TokenId]) -> NgramIndex {
        let slots: Vec<Slot> = ids.iter().copied().map(token).collect();
        NgramIndex::new(&slots)
    }

    fn proposal(n: usize, tokens: &[TokenId]) -> Option<Proposal> {
        Some(Proposal {
            n,
            tokens: tokens.to_vec(),
        })
    }

    #[test]
    fn the_longest_match_wins_over_a_later_shorter_one() {
        let index = index(&[1, 2, 3, 7, 9, 2, 3, 8, 1, 2, 3]);
        assert_eq!(index.propose(2), proposal(3, &[7, 9]));
    }

    #[test]
    fn among_equally_long_matches_the_last_wins() {
        let index = index(&[1, 2, 7, 1, 2, 8, 5, 1, 2]);
        assert_eq!(index.propose(2), proposal(2, &[8, 5]));
    }

    #[test]
    fn a_repetition_is_expected_to_go_on() {
        let index = index(&[5, 6, 7, 5, 6, 7, 5, 6]);
        assert_eq!(index.propose(5), proposal(4, &[7, 5, 6, 7, 5]));
    }

    #[test]
    fn a_single_token_and_nothing_new_match_nothing() {
        for ids in [&[][..], &[1], &[1, 1], &[1, 2, 3, 1], &[1, 2, 3, 4]] {
            assert_eq!(index(ids).propose(4), None, "{ids:?}");
        }
    }

    #[test]
    fn patches_match_nothing_and_end_a_proposal() {
        let patch = |row| Slot::Patch { image: 1, row };
        let slots = [token(1), token(2), token(3), patch(0), token(1), token(2)];
        assert_eq!(NgramIndex::new(&slots).propose(4), proposal(2, &[3]));
        let slots = [patch(0), patch(1), token(1), patch(0), patch(1)];
        assert_eq!(NgramIndex::new(&slots).propose(4), None);
    }

    /// Looks through the whole sequence.
    fn naive(slots: &[Slot], most: usize) -> Option<Proposal> {
        let is_token = |slot: &Slot| matches!(slot, Slot::Token(_));
        for n in (SHORTEST..=LONGEST).rev() {
            let Some(start) = slots.len().checked_sub(n) else {
                continue;
            };
            let tail = &slots[start..];
            let found = (0..start).rev().find(|&at| {
                slots[at..at + n] == *tail && tail.iter().all(is_token) && is_token(&slots[at + n])
            });
            if let Some(at) = found {
                let mut long = slots.to_vec();
                let mut tokens = Vec::new();
                for i in at + n.. {
                    match long[i] {
                        Slot::Token(id) if tokens.len() < most => tokens.push(id),
                        _ => break,
                    }
                    long.push(long[i]);
                }
                return (!tokens.is_empty()).then_some(Proposal { n, tokens });
            }
        }
        None
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_search_finds(
            ids in proptest::collection::vec(0u32..5, 0..60),
            most in 0usize..10,
        ) {
            let slot = |id| match id {
                0 => Slot::Patch { image: 7, row: 0 },
                id => Slot::Token(id),
            };
            let slots: Vec<Slot> = ids.into_iter().map(slot).collect();
            let mut index = NgramIndex::default();
            for (i, &slot) in slots.iter().enumerate() {
                index.push(slot);
                prop_assert_eq!(index.propose(most), naive(&slots[..=i], most));
            }
        }
    }
}
