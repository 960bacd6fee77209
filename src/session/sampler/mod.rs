//! Choosing a token from logits.
//!
//! The order is the one of mistral_inference and of the OpenAI-compatible servers: biases and
//! penalties, temperature, then top-k, top-p and min-p on the resulting probabilities. Only as many
//! logits are sorted as the filters need, never the whole vocabulary.

mod logprobs;
mod options;
mod penalties;

pub use logprobs::TokenLogprobs;
pub use options::SamplingOptions;

use crate::{Error, ErrorKind, Result, constraint::Allowed, tokenizer::TokenId};
use penalties::Penalties;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use std::{
    cmp::Ordering,
    time::{SystemTime, UNIX_EPOCH},
};

/// Chooses tokens, remembering those it chose.
pub struct Sampler {
    options: SamplingOptions,
    rng: ChaCha8Rng,
    penalties: Penalties,
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
        options.check()?;
        let seed = options.seed.unwrap_or_else(|| {
            let clock = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            clock.as_nanos() as u64
        });
        Ok(Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            penalties: Penalties::new(&options),
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
        self.penalties.remember(id);
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

    /// Every token that is allowed, with its biased and penalised logit.
    fn candidates(
        &self,
        logits: &[f32],
        allowed: Option<&Allowed>,
    ) -> impl Iterator<Item = Candidate> {
        let mut changed = self.penalties.changed(logits).into_iter().peekable();
        let all = (0..).zip(logits).map(move |(id, &logit)| {
            let change = changed.next_if(|&(changed, _)| changed == id);
            Candidate {
                id,
                weight: change.map_or(logit, |(_, weight)| weight),
            }
        });
        all.filter(move |c| allowed.is_none_or(|set| set.contains(c.id)))
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
mod tests;
