//! Byte-pair merging of one piece of text.
//!
//! Repeatedly joins the neighbouring pair whose bytes have the lowest rank, leftmost first, until
//! no pair is a token. A heap of candidate pairs over a linked list makes that O(n log n) in the
//! piece's length, so a megabyte of one letter is no attack. Knows only the vocabulary.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::vocabulary::{Rank, Vocabulary};

/// Scratch memory for merging, reused from piece to piece.
#[derive(Default)]
pub(super) struct Merger {
    /// One part per byte at first; a merge extends the left part and leaves the right one dead.
    parts: Vec<Part>,
    /// Candidate merges as (rank of the joined bytes, start of the left part).
    pairs: BinaryHeap<Reverse<(Rank, usize)>>,
}

/// A part of the piece that starts at its own index.
#[derive(Clone, Copy)]
struct Part {
    rank: Rank,
    /// Start of the part before this one; meaningless for the first.
    previous: usize,
    /// End of this part, which is the start of the next.
    next: usize,
    /// Rank of this part joined with the next; `None` also marks a dead part.
    joined: Option<Rank>,
}

impl Merger {
    /// Hands the ranks of `piece`'s tokens to `emit`, in order.
    pub fn merge(&mut self, vocabulary: &Vocabulary, piece: &[u8], emit: impl FnMut(Rank)) {
        self.merge_below(vocabulary, Rank::MAX, piece, emit);
    }

    /// The same, making only tokens of ranks less than `limit`.
    pub fn merge_below(
        &mut self,
        vocabulary: &Vocabulary,
        limit: Rank,
        piece: &[u8],
        mut emit: impl FnMut(Rank),
    ) {
        let n = piece.len();
        self.parts.clear();
        self.pairs.clear();
        self.parts.extend((0..n).map(|i| Part {
            // The first 256 ranks are the bytes.
            rank: Rank::from(piece[i]),
            previous: i.wrapping_sub(1),
            next: i + 1,
            joined: None,
        }));
        for start in 0..n {
            self.offer(vocabulary, limit, piece, start);
        }

        while let Some(Reverse((rank, start))) = self.pairs.pop() {
            let left = self.parts[start];
            // An entry whose pair has changed since is stale.
            if left.joined != Some(rank) {
                continue;
            }
            let right = self.parts[left.next];
            self.parts[left.next].joined = None;
            self.parts[start].rank = rank;
            self.parts[start].next = right.next;
            if right.next < n {
                self.parts[right.next].previous = start;
            }
            self.offer(vocabulary, limit, piece, start);
            if start > 0 {
                self.offer(vocabulary, limit, piece, left.previous);
            }
        }

        let mut at = 0;
        while at < n {
            emit(self.parts[at].rank);
            at = self.parts[at].next;
        }
    }

    /// Records what the part at `start` and its right neighbour would become.
    fn offer(&mut self, vocabulary: &Vocabulary, limit: Rank, piece: &[u8], start: usize) {
        let next = self.parts[start].next;
        let joined = self
            .parts
            .get(next)
            .and_then(|right| vocabulary.rank(&piece[start..right.next]))
            .filter(|&rank| rank < limit);
        self.parts[start].joined = joined;
        if let Some(rank) = joined {
            self.pairs.push(Reverse((rank, start)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rule as it is stated, quadratic: what `Merger` must agree with.
    fn plain(vocabulary: &Vocabulary, piece: &[u8]) -> Vec<Rank> {
        let mut parts: Vec<Vec<u8>> = piece.iter().map(|&b| vec![b]).collect();
        loop {
            let best = (0..parts.len().saturating_sub(1))
                .filter_map(|i| Some((vocabulary.rank(&parts[i..i + 2].concat())?, i)))
                .min();
            let Some((_, i)) = best else {
                return parts.iter().map(|p| vocabulary.rank(p).unwrap()).collect();
            };
            let right = parts.remove(i + 1);
            parts[i].extend(right);
        }
    }

    fn vocabulary(tokens: &[&str]) -> Vocabulary {
        let mut v = Vocabulary::with_capacity(300);
        (0..=255u8).for_each(|b| v.push(&[b]).unwrap());
        tokens.iter().for_each(|t| v.push(t.as_bytes()).unwrap());
        v
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_rule(text in "[abc]{0,60}") {
            let v = vocabulary(&["ab", "bc", "aa", "abc", "aab", "cc", "ccab", "aaaa", "bcbc", "cab"]);
            let mut ranks = Vec::new();
            let mut merger = Merger::default();
            merger.merge(&v, b"left over from an earlier piece", |_| ());
            merger.merge(&v, text.as_bytes(), |r| ranks.push(r));
            prop_assert_eq!(ranks, plain(&v, text.as_bytes()));
        }
    }

    #[test]
    fn equal_ranks_merge_from_the_left() {
        let v = vocabulary(&["aa"]);
        let mut ranks = Vec::new();
        Merger::default().merge(&v, b"aaa", |r| ranks.push(r));
        assert_eq!(ranks, [256, Rank::from(b'a')]);
    }
}
