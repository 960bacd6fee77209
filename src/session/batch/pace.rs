//! How much is read in a step, so that those whose answers are being generated do not wait longer than
//! they should. It is told what steps took and knows neither tokens nor clocks.

use std::time::Duration;

/// Fewest tokens of prompts of a step: less costs hardly less, since weights are read anyway.
const LEAST: usize = 8;

/// How many times as long a step may take if nobody's answer is being generated. Long enough for
/// matrix products to be about as fast as they get, short enough for others to begin soon.
const PATIENCE: f64 = 4.0;

/// Weight of a new time of a step that only generates.
const WEIGHT: f64 = 0.3;

/// The cost of steps, as it was measured.
pub(super) struct Pace {
    /// Seconds that a step should take at most.
    target: f64,
    /// Seconds of a step that only generates; unknown at first.
    generating: Option<f64>,
    /// Seconds that a token of a prompt takes, beside generating and alone.
    token: [Option<f64>; 2],
}

impl Pace {
    /// A pace of steps of `target`.
    pub(super) fn new(target: Duration) -> Self {
        Self {
            target: target.as_secs_f64(),
            generating: None,
            token: [None; 2],
        }
    }

    /// Seconds that reading and encoding may take in a step, in which answers are being generated or
    /// not.
    pub(super) fn room(&self, generates: bool) -> f64 {
        let alone = self.generating.unwrap_or(0.0);
        match generates {
            true => (self.target - alone).max(alone / 2.0),
            false => self.target * PATIENCE,
        }
    }

    /// Tokens that can be read in `seconds`, at least a few.
    pub(super) fn tokens(&self, generates: bool, seconds: f64) -> usize {
        let token = self.token[usize::from(!generates)];
        let n = token.map_or(0.0, |token| seconds / token);
        (n as usize).max(LEAST)
    }

    /// Takes note that a step with `n_read` tokens of prompts took `seconds`.
    pub(super) fn took(&mut self, generates: bool, n_read: usize, seconds: f64) {
        if n_read == 0 {
            let before = self.generating.unwrap_or(seconds);
            self.generating = Some(before + WEIGHT * (seconds - before));
            return;
        }
        let alone = match generates {
            true => self.generating.unwrap_or(0.0),
            false => 0.0,
        };
        let found = (seconds - alone).max(0.0) / n_read as f64;
        let token = &mut self.token[usize::from(!generates)];
        // What takes longer than thought is believed at once; twice as many are tried at most.
        *token = Some(match *token {
            Some(before) if found < before => found.max(before / 2.0),
            None => found.max(self.target / (2 * LEAST) as f64),
            _ => found,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Steps of a machine on which a step takes `fixed` seconds and `token` for each token read; the
    /// longest of the later ones, and the tokens read in the last.
    fn steps(target: f64, fixed: f64, token: f64) -> (f64, usize) {
        let mut pace = Pace::new(Duration::from_secs_f64(target));
        pace.took(true, 0, fixed);
        let (mut longest, mut n) = (0.0f64, 0);
        for step in 0..40 {
            n = pace.tokens(true, pace.room(true));
            let seconds = fixed + token * n as f64;
            pace.took(true, n, seconds);
            if step >= 20 {
                longest = longest.max(seconds);
            }
        }
        (longest, n)
    }

    proptest! {
        #[test]
        fn a_step_takes_what_it_should_on_fast_and_slow_machines(
            fixed in 1e-4f64..2.0, token in 1e-6f64..0.5
        ) {
            let (longest, n) = steps(0.4, fixed, token);
            let bound = (0.4f64).max(1.5 * fixed).max(fixed + token * LEAST as f64);
            prop_assert!(longest <= 1.001 * bound, "{longest} of {bound}");
            // And it makes use of it.
            prop_assert!(longest + 1.001 * token >= 0.4 || n == LEAST, "{longest}, {n}");
        }
    }

    #[test]
    fn a_token_that_became_dearer_is_believed_at_once() {
        let mut pace = Pace::new(Duration::from_millis(400));
        pace.took(true, 0, 0.2);
        pace.took(true, 8, 0.28);
        pace.took(true, 8, 0.28);
        assert_eq!(pace.tokens(true, 0.2), 16);
        pace.took(true, 16, 1.2);
        assert_eq!(pace.tokens(true, pace.room(true)), LEAST);
        // Nobody waits: the rate of reading alone is another one, and not known yet.
        assert_eq!(pace.tokens(false, pace.room(false)), LEAST);
    }
}
