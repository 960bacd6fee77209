//! How likely the model itself thought tokens, whatever the sampler made of that.

use super::{Candidate, keep_largest, order};
use crate::tokenizer::TokenId;

/// A token of an answer with its log probability, and the most likely tokens in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
    /// The token.
    pub id: TokenId,
    /// Natural logarithm of its probability: of the softmax of the model's logits, before biases,
    /// penalties, temperature, filters and constraints.
    pub logprob: f32,
    /// The most likely tokens with theirs, the most likely one first.
    pub top: Vec<(TokenId, f32)>,
}

impl TokenLogprobs {
    /// Of token `id` by `logits`, with the `n` most likely ones.
    pub(in crate::session) fn new(logits: &[f32], id: TokenId, n: usize) -> Self {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = logits.iter().map(|l| f64::from(l - most).exp()).sum();
        let logprob = |logit: f32| (f64::from(logit - most) - total.ln()) as f32;
        let mut top = Vec::new();
        if n > 0 {
            top.extend(
                (0..)
                    .zip(logits)
                    .map(|(id, &weight)| Candidate { id, weight }),
            );
            keep_largest(&mut top, n);
            top.sort_unstable_by(order);
        }
        let own = logits.get(id as usize).copied();
        Self {
            id,
            logprob: logprob(own.unwrap_or(f32::NEG_INFINITY)),
            top: top.iter().map(|c| (c.id, logprob(c.weight))).collect(),
        }
    }
}
