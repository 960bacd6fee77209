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
    /// Seconds that making a graph takes; unknown at first.
    building: Option<f64>,
    /// Seconds that drafts, computed or not, would have saved since the last graph for one was
    /// made.
    saved: f64,
    /// The same of the draft that is being compared.
    saving: f64,
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
            building: None,
            saved: 0.0,
            saving: 0.0,
            costs: std::array::from_fn(cost_at_first),
            acceptance: [0.4, 0.6, 0.8].map(|p| [p; LONGEST_DRAFT]),
        }
    }
}

fn cost_at_first(length: usize) -> f64 {
    1.0 + COST_AT_FIRST * length as f64
}

impl Estimates {
    /// The length of draft that promises most tokens a second, among those of at most `available`
    /// tokens that `may` allows, if n-grams of `n` tokens propose it; 0 if plain decoding does.
    pub(super) fn best_length(
        &self,
        n: usize,
        available: usize,
        may: impl Fn(usize) -> bool,
    ) -> usize {
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
            let possible = length <= available && LENGTHS.contains(&length);
            if possible && gain > best_gain && may(length) {
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

    /// Takes note that making the graph of a batch took `seconds`, none if it was there. Savings of
    /// the past have then been spent on it.
    pub(in crate::session) fn built(&mut self, seconds: f64) {
        if seconds > 0.0 {
            self.building = Some(self.building.map_or(seconds, |known| blend(known, seconds)));
            self.saved = 0.0;
            self.saving = 0.0;
        }
    }

    /// Takes note of a draft of `length` tokens, computed or not, the first `n_right` of which were
    /// right so far; the `last` time for this draft.
    pub(super) fn tried(&mut self, length: usize, n_right: usize, last: bool) {
        let Some(single) = self.single else { return };
        let tokens = 1 + n_right.min(length);
        self.saving = (tokens as f64 - self.costs[length.min(LONGEST_DRAFT)]) * single;
        if last {
            self.saved = (self.saved + self.saving).max(0.0);
            self.saving = 0.0;
        }
    }

    /// Whether drafts would have saved enough to pay for a graph for another length. What they lose
    /// where they never come right is so bounded by what they save elsewhere.
    pub(super) fn can_afford_a_graph(&self) -> bool {
        self.building
            .is_none_or(|seconds| self.saved + self.saving >= seconds)
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
        assert_eq!(Estimates::default().best_length(4, 8, |_| true), 0);
    }

    #[test]
    fn right_drafts_at_little_cost_are_as_long_as_they_may_be() {
        let estimates = after(measured(0.1), true, 40);
        for (available, length) in [(0, 0), (1, 1), (3, 2), (7, 4), (8, 8), (20, 8)] {
            assert_eq!(estimates.best_length(3, available, |_| true), length);
        }
    }

    #[test]
    fn drafts_that_cost_as_much_as_single_tokens_never_pay() {
        assert_eq!(
            after(measured(1.0), true, 100).best_length(3, 8, |_| true),
            0
        );
    }

    #[test]
    fn less_certain_drafts_are_shorter() {
        let estimates = after(measured(0.3), true, 40);
        let certain = estimates.best_length(3, 8, |_| true);
        let less = after(estimates, false, 3).best_length(3, 8, |_| true);
        assert!(0 < less && less < certain, "{less} {certain}");
    }

    #[test]
    fn a_few_wrong_drafts_end_drafting_and_a_few_right_ones_begin_it_again() {
        let wrong = after(measured(0.2), false, 12);
        assert_eq!(wrong.best_length(3, 8, |_| true), 0);
        // Other n-grams have a record of their own.
        assert!(wrong.best_length(4, 8, |_| true) > 0);
        assert!(after(wrong, true, 3).best_length(3, 8, |_| true) > 0);
    }

    #[test]
    fn a_length_that_cost_too_much_is_tried_again_but_rarely() {
        let mut estimates = after(measured(1.2), true, 40);
        let mut tokens = 0;
        while estimates.best_length(3, 8, |_| true) == 0 {
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
        assert!(estimates.best_length(3, 8, |_| true) > 0);
        estimates.took(0, 100.0);
        estimates.took(8, 1.8);
        assert!(estimates.best_length(3, 8, |_| true) > 0);
    }

    #[test]
    fn a_graph_is_afforded_by_what_drafts_would_have_saved() {
        let mut estimates = measured(0.1);
        estimates.built(3.0);
        assert!(!estimates.can_afford_a_graph());
        estimates.tried(4, 0, true);
        estimates.tried(4, 2, true);
        assert!(!estimates.can_afford_a_graph());
        estimates.tried(4, 4, false);
        assert!(estimates.can_afford_a_graph());
        estimates.built(0.0);
        assert!(estimates.can_afford_a_graph());
        estimates.built(3.0);
        assert!(!estimates.can_afford_a_graph());
    }

    #[test]
    fn only_lengths_that_may_be_are_chosen() {
        let estimates = after(measured(0.1), true, 40);
        assert_eq!(estimates.best_length(3, 8, |length| length == 2), 2);
        assert_eq!(estimates.best_length(3, 8, |_| false), 0);
    }

    #[test]
    fn places_and_lengths_beyond_the_table_are_ignored() {
        let mut estimates = measured(0.1);
        estimates.took(LONGEST_DRAFT + 1, 1.0);
        estimates.came(2, LONGEST_DRAFT, true);
        assert!(estimates.best_length(2, 8, |_| true) <= LONGEST_DRAFT);
    }
}
