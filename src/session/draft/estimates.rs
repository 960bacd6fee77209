//! Whether drafts pay: running estimates of what batches cost and how often drafts are right.
//!
//! Owns the estimates and the decision, which is a function of nothing else. It knows neither
//! tokens nor clocks: both are reported to it.

use super::index::{LONGEST, SHORTEST};

/// Most tokens of a draft whose length is chosen here.
pub(super) const LONGEST_DRAFT: usize = 8;

/// Lengths to choose from: few, since each keeps a graph of its own.
const LENGTHS: [usize; 4] = [1, 2, 4, 8];

/// What a draft token is thought to cost, in single tokens, before it was measured: somewhat
/// less than usual, so that each length is tried.
const COST_AT_FIRST: f64 = 0.15;

/// How much faster than plain decoding drafts must promise to be.
const MARGIN: f64 = 1.02;

/// Weight of a new outcome of a draft token.
const OUTCOME_WEIGHT: f64 = 0.15;

/// Weights of a new time that is shorter or longer than thought. Whatever disturbs a measurement
/// makes it longer, so shorter ones count more.
const SHORTER_WEIGHT: f64 = 0.5;
const LONGER_WEIGHT: f64 = 0.15;

/// How fast a cost that is not measured any more returns to what was thought at first, so that a
/// length that did not pay is tried again: the sooner, the nearer it came to paying.
const RETURN_WEIGHT: f64 = 1.0 / 512.0;

/// What batches cost on this machine, and how often draft tokens are right.
#[derive(Clone, Debug)]
pub(in crate::session) struct Estimates {
    /// Seconds of a single token; unknown at first.
    single: Option<f64>,
    /// Cost of a batch with a draft of this length, in single tokens.
    costs: [f64; 1 + LONGEST_DRAFT],
    /// By length of the n-gram, then by place in the draft: probability that a token is right if
    /// all before it are.
    acceptance: [[f64; LONGEST_DRAFT]; LONGEST - SHORTEST + 1],
}

impl Default for Estimates {
    fn default() -> Self {
        Self {
            single: None,
            costs: std::array::from_fn(cost_at_first),
            acceptance: [0.4, 0.6, 0.8].map(|p| [p; LONGEST_DRAFT]),
        }
    }
}

fn cost_at_first(length: usize) -> f64 {
    1.0 + COST_AT_FIRST * length as f64
}

impl Estimates {
    /// The length of draft that promises most tokens a second, at most `available`, if n-grams of
    /// `n` tokens propose it; 0 if plain decoding does.
    pub(super) fn best_length(&self, n: usize, available: usize) -> usize {
        if self.single.is_none() {
            return 0;
        }
        let (mut best, mut best_gain) = (0, MARGIN);
        // The token that any batch gives, and those of the draft.
        let (mut expected, mut all_right) = (1.0, 1.0);
        for (i, acceptance) in self.acceptance[n - SHORTEST].iter().enumerate() {
            let length = i + 1;
            all_right *= acceptance;
            expected += all_right;
            let gain = expected / self.costs[length];
            if length <= available && LENGTHS.contains(&length) && gain > best_gain {
                (best, best_gain) = (length, gain);
            }
        }
        best
    }

    /// Takes note that a batch of one token and a draft of `length` took `seconds`.
    pub(in crate::session) fn took(&mut self, length: usize, seconds: f64) {
        if length == 0 {
            let single = self.single.unwrap_or(seconds);
            self.single = Some(blend(single, seconds));
            for (length, cost) in self.costs.iter_mut().enumerate() {
                let excess = *cost - cost_at_first(length);
                *cost -= RETURN_WEIGHT * excess.max(0.0);
            }
        } else if let (Some(cost), Some(single)) = (self.costs.get_mut(length), self.single) {
            *cost = blend(*cost, seconds / single);
        }
    }

    /// Takes note of whether the token at `place` of what an n-gram of `n` tokens proposed was
    /// right, all before it being so.
    pub(super) fn came(&mut self, n: usize, place: usize, right: bool) {
        if let Some(p) = self.acceptance[n - SHORTEST].get_mut(place) {
            *p += OUTCOME_WEIGHT * (f64::from(u8::from(right)) - *p);
        }
    }
}

fn blend(known: f64, new: f64) -> f64 {
    let weight = match new < known {
        true => SHORTER_WEIGHT,
        false => LONGER_WEIGHT,
    };
    // One interruption must not look like a property of the machine.
    known + weight * (new.min(2.0 * known) - known)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known after a single token took a second and drafts `cost` a token of theirs.
    fn measured(cost: f64) -> Estimates {
        let mut estimates = Estimates::default();
        for _ in 0..40 {
            estimates.took(0, 1.0);
            for length in LENGTHS {
                estimates.took(length, 1.0 + cost * length as f64);
            }
        }
        estimates
    }

    fn after(mut estimates: Estimates, right: bool, times: usize) -> Estimates {
        for _ in 0..times {
            for place in 0..LONGEST_DRAFT {
                estimates.came(3, place, right);
            }
        }
        estimates
    }

    #[test]
    fn nothing_is_drafted_before_a_single_token_was_measured() {
        assert_eq!(Estimates::default().best_length(4, 8), 0);
    }

    #[test]
    fn right_drafts_at_little_cost_are_as_long_as_they_may_be() {
        let estimates = after(measured(0.1), true, 40);
        for (available, length) in [(0, 0), (1, 1), (3, 2), (7, 4), (8, 8), (20, 8)] {
            assert_eq!(estimates.best_length(3, available), length);
        }
    }

    #[test]
    fn drafts_that_cost_as_much_as_single_tokens_never_pay() {
        assert_eq!(after(measured(1.0), true, 100).best_length(3, 8), 0);
    }

    #[test]
    fn less_certain_drafts_are_shorter() {
        let estimates = after(measured(0.3), true, 40);
        let certain = estimates.best_length(3, 8);
        let less = after(estimates, false, 3).best_length(3, 8);
        assert!(0 < less && less < certain, "{less} {certain}");
    }

    #[test]
    fn a_few_wrong_drafts_end_drafting_and_a_few_right_ones_begin_it_again() {
        let wrong = after(measured(0.2), false, 12);
        assert_eq!(wrong.best_length(3, 8), 0);
        // Other n-grams have a record of their own.
        assert!(wrong.best_length(4, 8) > 0);
        assert!(after(wrong, true, 3).best_length(3, 8) > 0);
    }

    #[test]
    fn a_length_that_cost_too_much_is_tried_again_but_rarely() {
        let mut estimates = after(measured(1.2), true, 40);
        let mut tokens = 0;
        while estimates.best_length(3, 8) == 0 {
            estimates.took(0, 1.0);
            tokens += 1;
            assert!(tokens < 10_000, "never tried again");
        }
        assert!(tokens > 50, "tried again after {tokens}");
    }

    #[test]
    fn one_long_time_changes_little() {
        let mut estimates = after(measured(0.1), true, 40);
        estimates.took(8, 100.0);
        assert!(estimates.best_length(3, 8) > 0);
        estimates.took(0, 100.0);
        estimates.took(8, 1.8);
        assert!(estimates.best_length(3, 8) > 0);
    }

    #[test]
    fn places_and_lengths_beyond_the_table_are_ignored() {
        let mut estimates = measured(0.1);
        estimates.took(LONGEST_DRAFT + 1, 1.0);
        estimates.came(2, LONGEST_DRAFT, true);
        assert!(estimates.best_length(2, 8) <= LONGEST_DRAFT);
    }
}
