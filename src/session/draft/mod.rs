//! Drafts without a second model: what followed the last few tokens before is proposed to follow
//! them again (prompt lookup), and verified with the next token in one batch.
//!
//! Owns what is proposed and when, from the sequence and from what it observes of times and
//! outcomes. It knows nothing of the decoder. Verifying needs nothing from here: the sampler draws
//! each token from its own distribution as without drafts, and a draft token is right if it is the
//! one drawn. That happens with its probability, and what is drawn otherwise follows the
//! distribution without it: rejection sampling (Leviathan et al., 2023, §2.3) for a draft that is
//! certain of each token.

mod estimates;
mod index;

pub(super) use estimates::Estimates;

use super::history::Slot;
use crate::tokenizer::TokenId;
use estimates::LONGEST_DRAFT;
use index::{NgramIndex, Proposal};

/// Whether tokens are drafted from what was said before. Answers do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speculation {
    /// When it pays, by what is measured while generating.
    #[default]
    Auto,
    /// Never.
    Off,
    /// Drafts of this many tokens whenever there is something to propose, paying or not.
    Fixed(usize),
}

/// Proposes drafts for one answer.
pub(super) struct Drafter {
    speculation: Speculation,
    /// Ends an answer, so nothing is drafted from it on.
    end: Option<TokenId>,
    index: NgramIndex,
    trial: Option<Trial>,
}

/// A proposal that is compared with the tokens that come, whether it is computed or not: knowing
/// how good drafts are costs nothing.
struct Trial {
    proposal: Proposal,
    /// Tokens that have come, all right.
    place: usize,
    /// Length of the draft that would pay.
    length: usize,
}

impl Drafter {
    /// A drafter for the answer that goes on after `history` and that `end` ends.
    pub(super) fn new(speculation: Speculation, history: &[Slot], end: Option<TokenId>) -> Self {
        let index = match speculation {
            Speculation::Off => NgramIndex::default(),
            _ => NgramIndex::new(history),
        };
        Self {
            speculation,
            end,
            index,
            trial: None,
        }
    }

    /// Takes note of the next token of the answer.
    pub(super) fn push(&mut self, id: TokenId, estimates: &mut Estimates) {
        if self.speculation == Speculation::Off {
            return;
        }
        if let Some(mut trial) = self.trial.take() {
            let right = trial.proposal.tokens[trial.place] == id;
            estimates.came(trial.proposal.n, trial.place, right);
            trial.place += usize::from(right);
            let goes_on = right && trial.place < trial.proposal.tokens.len();
            estimates.tried(trial.length, trial.place, !goes_on);
            self.trial = goes_on.then_some(trial);
        }
        self.index.push(Slot::Token(id));
        if self.trial.is_none() {
            let proposal = self.index.propose(LONGEST_DRAFT);
            self.trial = proposal.map(|proposal| Trial {
                place: 0,
                length: estimates.best_length(proposal.n, proposal.tokens.len(), |_| true),
                proposal,
            });
        }
    }

    /// At most `most` tokens to compute with the one that came last; often none. `is_prepared` tells
    /// of a length whether a graph for it is there.
    pub(super) fn draft(
        &self,
        most: usize,
        estimates: &Estimates,
        is_prepared: impl Fn(usize) -> bool,
    ) -> Vec<TokenId> {
        let longest = match self.speculation {
            Speculation::Auto => LONGEST_DRAFT,
            Speculation::Off => 0,
            Speculation::Fixed(length) => length,
        };
        let Some(Proposal { n, mut tokens }) = self.index.propose(longest.min(most)) else {
            return Vec::new();
        };
        let useful = tokens.iter().position(|&id| Some(id) == self.end);
        tokens.truncate(useful.unwrap_or(tokens.len()));
        if self.speculation == Speculation::Auto {
            let may = |length| is_prepared(length) || estimates.can_afford_a_graph();
            tokens.truncate(estimates.best_length(n, tokens.len(), may));
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(ids: &[TokenId]) -> Vec<Slot> {
        ids.iter().copied().map(Slot::Token).collect()
    }

    fn draft(speculation: Speculation, end: Option<TokenId>, most: usize) -> Vec<TokenId> {
        let mut estimates = Estimates::default();
        let mut drafter = Drafter::new(speculation, &history(&[1, 2, 3, 4, 5, 6, 1]), end);
        drafter.push(2, &mut estimates);
        drafter.draft(most, &estimates, |_| true)
    }

    #[test]
    fn a_draft_is_as_long_as_was_asked_for_and_allowed() {
        assert_eq!(draft(Speculation::Fixed(3), None, 9), [3, 4, 5]);
        assert_eq!(draft(Speculation::Fixed(3), None, 2), [3, 4]);
        assert!(draft(Speculation::Fixed(3), None, 0).is_empty());
        assert!(draft(Speculation::Off, None, 9).is_empty());
    }

    #[test]
    fn nothing_is_drafted_beyond_the_end_of_an_answer() {
        assert_eq!(draft(Speculation::Fixed(4), Some(5), 9), [3, 4]);
        assert!(draft(Speculation::Fixed(4), Some(3), 9).is_empty());
    }

    /// Drafts after each token of `answer`, at costs that make right ones pay.
    fn drafted(answer: &[TokenId], estimates: &mut Estimates) -> Vec<usize> {
        let before: Vec<TokenId> = (0..100).collect();
        let mut drafter = Drafter::new(Speculation::Auto, &history(&before), None);
        answer
            .iter()
            .map(|&id| {
                drafter.push(id, estimates);
                estimates.took(0, 1.0);
                drafter.draft(8, estimates, |_| false).len()
            })
            .collect()
    }

    #[test]
    fn drafts_wait_until_they_would_have_paid_for_their_graph() {
        let copied: Vec<TokenId> = (20..60).collect();
        let first = |building: f64| {
            let mut estimates = Estimates::default();
            estimates.built(building);
            let lengths = drafted(&copied, &mut estimates);
            lengths.iter().position(|&n| n > 0)
        };
        let (cheap, dear) = (first(0.1).unwrap(), first(8.0).unwrap());
        assert!(cheap < dear && dear < 30, "{cheap} {dear}");
        assert_eq!(first(1000.0), None);
    }

    #[test]
    fn drafts_grow_while_they_are_right_and_end_when_they_are_wrong() {
        let mut estimates = Estimates::default();
        let copied: Vec<TokenId> = (20..60).collect();
        let lengths = drafted(&copied, &mut estimates);
        assert_eq!(lengths[0], 0, "one token proposes nothing");
        assert_eq!(lengths.last(), Some(&8));
        // Pairs that came before, followed by what never did.
        let strange: Vec<TokenId> = (0..60)
            .map(|i| if i % 3 < 2 { 30 + i % 3 } else { 1000 + i })
            .collect();
        let lengths = drafted(&strange, &mut estimates);
        assert!(lengths[30..].iter().all(|&n| n == 0), "{lengths:?}");
    }
}
