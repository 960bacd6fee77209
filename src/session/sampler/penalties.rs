//! What makes tokens more or less likely than the model thinks: biases, and penalties for what was
//! chosen before. Only the few tokens concerned are looked at, never the whole vocabulary.

use super::SamplingOptions;
use crate::tokenizer::TokenId;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Biases and penalties, with the memory of what was chosen that they need.
pub(super) struct Penalties {
    bias: BTreeMap<TokenId, f32>,
    repeat: f32,
    repeat_last_n: usize,
    frequency: f32,
    presence: f32,
    /// The last `repeat_last_n` tokens.
    recent: VecDeque<TokenId>,
    /// How often each token was chosen.
    counts: HashMap<TokenId, u32>,
}

impl Penalties {
    pub(super) fn new(options: &SamplingOptions) -> Self {
        let mut bias = BTreeMap::new();
        for &(id, value) in &options.logit_bias {
            *bias.entry(id).or_default() += value;
        }
        Self {
            bias,
            repeat: options.repeat_penalty,
            repeat_last_n: options.repeat_last_n,
            frequency: options.frequency_penalty,
            presence: options.presence_penalty,
            recent: VecDeque::new(),
            counts: HashMap::new(),
        }
    }

    /// Takes note that `id` was chosen.
    pub(super) fn remember(&mut self, id: TokenId) {
        if self.repeat != 1.0 {
            self.recent.push_back(id);
            if self.recent.len() > self.repeat_last_n {
                self.recent.pop_front();
            }
        }
        if self.frequency != 0.0 || self.presence != 0.0 {
            *self.counts.entry(id).or_default() += 1;
        }
    }

    /// The tokens whose logits change, ascending, with their new logits.
    pub(super) fn changed(&self, logits: &[f32]) -> Vec<(TokenId, f32)> {
        let recent: HashSet<TokenId> = self.recent.iter().copied().collect();
        let mut ids: Vec<TokenId> = self.bias.keys().copied().collect();
        ids.extend(&recent);
        ids.extend(self.counts.keys());
        ids.sort_unstable();
        ids.dedup();
        let change = |id: TokenId| {
            let mut logit = *logits.get(id as usize)?;
            logit += self.bias.get(&id).unwrap_or(&0.0);
            if recent.contains(&id) {
                logit = match logit > 0.0 {
                    true => logit / self.repeat,
                    false => logit * self.repeat,
                };
            }
            if let Some(&n) = self.counts.get(&id) {
                logit -= n as f32 * self.frequency + self.presence;
            }
            Some((id, logit))
        };
        ids.into_iter().filter_map(change).collect()
    }
}
