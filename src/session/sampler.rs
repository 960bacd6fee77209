//! Choosing a token from logits.
//!
//! The order is the one of mistral_inference and of the OpenAI-compatible servers: repeat penalty,
//! temperature, then top-k, top-p and min-p on the resulting probabilities. Only as many logits
//! are sorted as the filters need, never the whole vocabulary.

use crate::{Error, ErrorKind, Result, constraint::Allowed, tokenizer::TokenId};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use std::{
    cmp::Ordering,
    collections::{HashSet, VecDeque},
    time::{SystemTime, UNIX_EPOCH},
};

/// How tokens are chosen. The default is greedy.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingOptions {
    /// Divides the logits; 0 takes the most likely token each time.
    pub temperature: f32,
    /// Keep only this many most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the fewest most likely tokens whose probabilities add up to this; 1 keeps all.
    pub top_p: f32,
    /// Keep tokens at least this fraction as likely as the most likely one; 0 keeps all.
    pub min_p: f32,
    /// Makes tokens among the last `repeat_last_n` less likely (Keskar et al., 2019, §4.1); 1 is
    /// off.
    pub repeat_penalty: f32,
    /// How far back the repeat penalty looks.
    pub repeat_last_n: usize,
    /// Start of the random sequence; `None` takes the clock.
    pub seed: Option<u64>,
}

impl Default for SamplingOptions {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            seed: None,
        }
    }
}

/// Chooses tokens, remembering those it chose.
pub struct Sampler {
    options: SamplingOptions,
    rng: ChaCha8Rng,
    recent: VecDeque<TokenId>,
}

/// A token with its logit, later its probability.
#[derive(Clone, Copy)]
struct Candidate {
    id: TokenId,
    weight: f32,
}

impl Sampler {
    /// A sampler with nothing remembered.
    ///
    /// Errors if an option is outside its range.
    pub fn new(options: SamplingOptions) -> Result<Self> {
        let o = &options;
        for (name, value, ok, expected) in [
            (
                "temperature",
                o.temperature,
                o.temperature >= 0.0,
                "0 or more",
            ),
            (
                "top_p",
                o.top_p,
                o.top_p > 0.0 && o.top_p <= 1.0,
                "more than 0 and at most 1",
            ),
            ("min_p", o.min_p, (0.0..=1.0).contains(&o.min_p), "0 to 1"),
            (
                "repeat_penalty",
                o.repeat_penalty,
                o.repeat_penalty > 0.0,
                "more than 0",
            ),
        ] {
            if !ok || !value.is_finite() {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!("{name} is {value}, expected {expected}"),
                ));
            }
        }
        let seed = options.seed.unwrap_or_else(|| {
            let clock = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            clock.as_nanos() as u64
        });
        Ok(Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            recent: VecDeque::new(),
            options,
        })
    }

    /// Chooses the next token and remembers it.
    ///
    /// Errors with `Internal` if `logits` is empty or holds a NaN, which only damaged weights
    /// produce.
    pub fn sample(&mut self, logits: &[f32]) -> Result<TokenId> {
        self.choose(logits, None)
    }

    /// The same among the tokens that are `allowed`, as if there were no others.
    pub(super) fn sample_among(&mut self, logits: &[f32], allowed: &Allowed) -> Result<TokenId> {
        self.choose(logits, Some(allowed))
    }

    /// Remembers `id` as if it had been chosen.
    pub(super) fn remember(&mut self, id: TokenId) {
        if self.options.repeat_penalty != 1.0 {
            self.recent.push_back(id);
            if self.recent.len() > self.options.repeat_last_n {
                self.recent.pop_front();
            }
        }
    }

    fn choose(&mut self, logits: &[f32], allowed: Option<&Allowed>) -> Result<TokenId> {
        if logits.is_empty() || logits.iter().any(|l| l.is_nan()) {
            return Err(Error::new(
                ErrorKind::Internal,
                "the model computed no usable logits: its file may be damaged, run `pixtral \
                 inspect --verify`",
            ));
        }
        let candidates = self.candidates(logits, allowed);
        let id = if self.options.temperature == 0.0 {
            greedy(candidates)
        } else {
            let list = candidates.collect();
            self.draw(list)
        };
        self.remember(id);
        Ok(id)
    }

    /// Every token that is allowed, with its penalised logit.
    fn candidates(
        &self,
        logits: &[f32],
        allowed: Option<&Allowed>,
    ) -> impl Iterator<Item = Candidate> {
        let penalty = self.options.repeat_penalty;
        let recent: HashSet<TokenId> = self.recent.iter().copied().collect();
        let all = (0..).zip(logits);
        let allowed = all.filter(move |&(id, _)| allowed.is_none_or(|set| set.contains(id)));
        allowed.map(move |(id, &logit)| {
            let weight = match recent.contains(&id) {
                true if logit > 0.0 => logit / penalty,
                true => logit * penalty,
                false => logit,
            };
            Candidate { id, weight }
        })
    }

    fn draw(&mut self, mut list: Vec<Candidate>) -> TokenId {
        if self.options.top_k > 0 {
            keep_largest(&mut list, self.options.top_k);
        }
        softmax(&mut list, self.options.temperature);
        if self.options.top_p < 1.0 {
            keep_nucleus(&mut list, self.options.top_p);
        }
        if self.options.min_p > 0.0 {
            let most = list.iter().map(|c| c.weight).fold(0.0, f32::max);
            list.retain(|c| c.weight >= self.options.min_p * most);
        }
        self.pick(&list)
    }

    /// Draws by weight; the weights need not add up to 1.
    fn pick(&mut self, list: &[Candidate]) -> TokenId {
        let total: f64 = list.iter().map(|c| f64::from(c.weight)).sum();
        // 53 random bits: a double in [0, 1).
        let unit = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let mut left = unit * total;
        for candidate in list {
            left -= f64::from(candidate.weight);
            if left < 0.0 {
                return candidate.id;
            }
        }
        list.last().map_or(0, |c| c.id)
    }
}

/// The most likely token, the first of equals.
fn greedy(candidates: impl Iterator<Item = Candidate>) -> TokenId {
    let best = candidates.reduce(|best, candidate| match candidate.weight > best.weight {
        true => candidate,
        false => best,
    });
    best.map_or(0, |c| c.id)
}

/// Descending by weight, ascending by id among equals: the same result however it is computed.
fn order(a: &Candidate, b: &Candidate) -> Ordering {
    b.weight.total_cmp(&a.weight).then(a.id.cmp(&b.id))
}

/// Keeps the `k` largest, unsorted.
fn keep_largest(list: &mut Vec<Candidate>, k: usize) {
    if k < list.len() {
        list.select_nth_unstable_by(k, order);
        list.truncate(k);
    }
}

/// Turns logits into probabilities at `temperature`.
fn softmax(list: &mut [Candidate], temperature: f32) {
    let most = list
        .iter()
        .map(|c| c.weight)
        .fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0f64;
    for candidate in list.iter_mut() {
        candidate.weight = ((candidate.weight - most) / temperature).exp();
        total += f64::from(candidate.weight);
    }
    for candidate in list.iter_mut() {
        candidate.weight = (f64::from(candidate.weight) / total) as f32;
    }
}

/// Keeps the fewest most likely candidates that together reach `top_p`, sorted.
///
/// Sorts a beginning that doubles until it is long enough: usually a few dozen of 131,072.
fn keep_nucleus(list: &mut Vec<Candidate>, top_p: f32) {
    let mut sorted = 64;
    loop {
        if sorted < list.len() {
            list.select_nth_unstable_by(sorted, order);
        }
        let end = sorted.min(list.len());
        list[..end].sort_unstable_by(order);
        let mut sum = 0.0;
        let reached = list[..end].iter().position(|c| {
            sum += f64::from(c.weight);
            sum >= f64::from(top_p)
        });
        if let Some(last) = reached {
            list.truncate(last + 1);
            return;
        }
        if end == list.len() {
            return;
        }
        sorted *= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(change: impl FnOnce(&mut SamplingOptions)) -> Sampler {
        let mut options = SamplingOptions {
            temperature: 1.0,
            seed: Some(7),
            ..Default::default()
        };
        change(&mut options);
        Sampler::new(options).unwrap()
    }

    fn drawn(mut sampler: Sampler, logits: &[f32]) -> HashSet<TokenId> {
        (0..2000).map(|_| sampler.sample(logits).unwrap()).collect()
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_most_likely() {
        let mut greedy = sampler(|o| o.temperature = 0.0);
        assert_eq!(greedy.sample(&[0.0, 3.0, 3.0, 1.0]).unwrap(), 1);
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let mut sampler = sampler(|_| ());
        let logits = [0.0, (3.0f32).ln()];
        let n = 20_000;
        let ones = (0..n)
            .filter(|_| sampler.sample(&logits).unwrap() == 1)
            .count();
        assert!(
            (ones as f64 / n as f64 - 0.75).abs() < 0.02,
            "{ones} of {n}"
        );
    }

    #[test]
    fn a_lower_temperature_sharpens() {
        let mut sampler = sampler(|o| o.temperature = 0.5);
        let logits = [0.0, (3.0f32).ln()];
        let n = 20_000;
        let ones = (0..n)
            .filter(|_| sampler.sample(&logits).unwrap() == 1)
            .count();
        assert!((ones as f64 / n as f64 - 0.9).abs() < 0.02, "{ones} of {n}");
    }

    #[test]
    fn filters_keep_what_they_say() {
        // Probabilities 0.5, 0.25, 0.125, 0.125.
        let logits = [0.5f32, 0.25, 0.125, 0.125].map(f32::ln);
        assert_eq!(
            drawn(sampler(|o| o.top_k = 2), &logits),
            HashSet::from([0, 1])
        );
        assert_eq!(drawn(sampler(|o| o.top_k = 1), &logits), HashSet::from([0]));
        assert_eq!(
            drawn(sampler(|o| o.top_p = 0.5), &logits),
            HashSet::from([0])
        );
        assert_eq!(
            drawn(sampler(|o| o.top_p = 0.6), &logits),
            HashSet::from([0, 1])
        );
        assert_eq!(
            drawn(sampler(|o| o.min_p = 0.4), &logits),
            HashSet::from([0, 1])
        );
        assert_eq!(drawn(sampler(|_| ()), &logits).len(), 4);
    }

    #[test]
    fn the_nucleus_of_a_large_flat_vocabulary_is_exact() {
        let logits = vec![0.0; 10_000];
        let ids = drawn(sampler(|o| o.top_p = 0.01), &logits);
        assert!(ids.iter().all(|&id| id < 101) && ids.len() > 90);
    }

    #[test]
    fn the_repeat_penalty_looks_back_only_so_far() {
        let mut sampler = sampler(|o| {
            o.temperature = 0.0;
            o.repeat_penalty = 2.0;
            o.repeat_last_n = 1;
        });
        let chosen: Vec<_> = (0..4)
            .map(|_| sampler.sample(&[1.0, 0.9, 0.1]).unwrap())
            .collect();
        assert_eq!(chosen, [0, 1, 0, 1]);
    }

    #[test]
    fn the_same_seed_gives_the_same_tokens() {
        let logits: Vec<f32> = (0..100).map(|i| (i as f32 * 0.7).sin()).collect();
        let run = |seed| -> Vec<TokenId> {
            let mut sampler = sampler(|o| o.seed = Some(seed));
            (0..50).map(|_| sampler.sample(&logits).unwrap()).collect()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    /// What verifying drafts relies on: a draft token is right if it is the one drawn.
    #[test]
    fn a_certain_draft_is_drawn_with_its_probability_and_else_the_rest_by_theirs() {
        let weights = [5.0f64, 1.0, 3.0, 7.0, 2.0, 0.1];
        let logits = weights.map(|w| w.ln() as f32);
        // The last token is filtered out.
        let kept = &weights[..5];
        let n = 20_000;
        for draft in 0..5u32 {
            let mut sampler = sampler(|o| {
                o.top_k = 5;
                o.seed = Some(u64::from(draft));
            });
            let mut drawn = [0usize; 5];
            for _ in 0..n {
                drawn[sampler.sample(&logits).unwrap() as usize] += 1;
            }
            let total: f64 = kept.iter().sum();
            let right = kept[draft as usize] / total;
            let found = drawn[draft as usize] as f64 / f64::from(n);
            let deviation = (right * (1.0 - right) / f64::from(n)).sqrt();
            assert!((found - right).abs() < 4.0 * deviation, "{found} {right}");

            let others = (0..5).filter(|&id| id != draft as usize);
            let n_rest = n as usize - drawn[draft as usize];
            let chi_square: f64 = others
                .map(|id| {
                    let p = kept[id] / (total - kept[draft as usize]);
                    let expected = p * n_rest as f64;
                    (drawn[id] as f64 - expected).powi(2) / expected
                })
                .sum();
            // 3 degrees of freedom: above 21.1 once in 10,000.
            assert!(chi_square < 21.1, "draft {draft}: {chi_square}");
        }
    }

    #[test]
    fn senseless_options_and_logits_are_refused() {
        for change in [
            (|o| o.temperature = -1.0) as fn(&mut SamplingOptions),
            |o| o.temperature = f32::NAN,
            |o| o.top_p = 0.0,
            |o| o.min_p = 1.5,
            |o| o.repeat_penalty = 0.0,
        ] {
            let mut options = SamplingOptions::default();
            change(&mut options);
            assert!(Sampler::new(options).is_err());
        }
        assert!(sampler(|_| ()).sample(&[f32::NAN]).is_err());
        assert!(sampler(|_| ()).sample(&[]).is_err());
    }
}
