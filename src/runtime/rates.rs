//! How long reading prompts takes on this machine: four numbers, and times as a function of them.

use std::time::Duration;

/// Rates of one model on one machine, in seconds. Time grows with the number of patches or tokens,
/// and, because of attention, with the number of pairs of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Encoding a patch.
    pub patch: f64,
    /// Letting a patch see another of its picture.
    pub patch_pair: f64,
    /// Reading a token as one of a large batch.
    pub token: f64,
    /// Letting a token see an earlier one.
    pub token_pair: f64,
}

impl Rates {
    /// Encoding a picture of `n_patches`.
    pub fn encode(&self, n_patches: usize) -> Duration {
        let n = n_patches as f64;
        seconds(n * self.patch + n * n * self.patch_pair)
    }

    /// Reading `n_tokens` after `n_known`.
    pub fn read(&self, n_known: usize, n_tokens: usize) -> Duration {
        let (known, n) = (n_known as f64, n_tokens as f64);
        seconds(n * self.token + n * (known + n / 2.0) * self.token_pair)
    }

    /// The rates by which `work`, which took `taken`, would have been expected to take as long in
    /// the middle between that and what was expected: one measurement is never the whole truth.
    pub(crate) fn corrected(self, expected: Duration, taken: Duration, part: RatePart) -> Self {
        if expected.is_zero() || taken.is_zero() {
            return self;
        }
        let factor = (taken.as_secs_f64() / expected.as_secs_f64()).sqrt();
        match part {
            RatePart::Encode => Self {
                patch: self.patch * factor,
                patch_pair: self.patch_pair * factor,
                ..self
            },
            RatePart::Read => Self {
                token: self.token * factor,
                token_pair: self.token_pair * factor,
                ..self
            },
        }
    }

    /// The line through two measurements `(pairs seen by each, seconds each)`: what one costs by
    /// itself, and for each that it sees. Two that see equally many tell nothing of the latter.
    pub(super) fn line(few: (f64, f64), many: (f64, f64)) -> (f64, f64) {
        if few.0 >= many.0 {
            return (few.1, 0.0);
        }
        let per_pair = ((many.1 - few.1) / (many.0 - few.0)).max(0.0);
        ((few.1 - few.0 * per_pair).max(0.0), per_pair)
    }

    /// Whether times can be computed from these.
    pub(crate) fn is_sound(&self) -> bool {
        [self.patch, self.patch_pair, self.token, self.token_pair]
            .iter()
            .all(|rate| rate.is_finite() && (0.0..1e6).contains(rate))
    }
}

/// Which of the rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RatePart {
    /// The vision tower's.
    Encode,
    /// The decoder's.
    Read,
}

/// As a duration; what is too long for one is as long as can be told.
fn seconds(n: f64) -> Duration {
    Duration::try_from_secs_f64(n).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates {
        patch: 0.004,
        patch_pair: 1e-6,
        token: 0.04,
        token_pair: 1e-5,
    };

    #[test]
    fn attention_makes_large_pictures_and_late_tokens_dearer() {
        assert_eq!(RATES.encode(1000), Duration::from_secs(5));
        assert_eq!(RATES.encode(4000), Duration::from_secs(32));
        assert_eq!(RATES.read(0, 1000), Duration::from_secs(45));
        assert_eq!(RATES.read(1000, 1000), Duration::from_secs(55));
        assert_eq!(RATES.read(7, 0), Duration::ZERO);
    }

    #[test]
    fn a_measurement_moves_the_rates_half_way_and_only_its_own() {
        let slow = RATES.corrected(
            Duration::from_secs(1),
            Duration::from_secs(4),
            RatePart::Read,
        );
        assert_eq!(slow.token, 2.0 * RATES.token);
        assert_eq!(slow.patch, RATES.patch);
        let odd = RATES.corrected(Duration::ZERO, Duration::from_secs(4), RatePart::Encode);
        assert_eq!(odd, RATES);
    }

    #[test]
    fn noise_never_makes_a_rate_negative() {
        assert_eq!(Rates::line((100.0, 1.0), (200.0, 2.0)), (0.0, 0.01));
        assert_eq!(Rates::line((100.0, 2.0), (200.0, 1.0)), (2.0, 0.0));
        assert_eq!(Rates::line((100.0, 1.0), (200.0, 9.0)).0, 0.0);
        assert_eq!(Rates::line((100.0, 2.0), (100.0, 3.0)), (2.0, 0.0));
        let unsound = Rates {
            token: f64::NAN,
            ..RATES
        };
        assert!(RATES.is_sound() && !unsound.is_sound());
    }
}
