//! How tokens are chosen, as its user says it.

use crate::{Error, ErrorKind, Result, tokenizer::TokenId};

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
    /// Taken from the logit of a token for each time that the answer has it already, as in OpenAI's
    /// API; 0 is off, less than 0 makes it more likely.
    pub frequency_penalty: f32,
    /// Taken from the logit of a token that the answer has already; 0 is off.
    pub presence_penalty: f32,
    /// Added to the logits of these tokens, before anything else: 100 makes a token as good as
    /// certain, −100 as good as impossible.
    pub logit_bias: Vec<(TokenId, f32)>,
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
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: None,
        }
    }
}

impl SamplingOptions {
    /// Errors with `InvalidArgument` if an option is outside its range.
    pub(super) fn check(&self) -> Result<()> {
        let positive = |x: f32| x > 0.0;
        for (name, value, ok, expected) in [
            (
                "temperature",
                self.temperature,
                self.temperature >= 0.0,
                "0 or more",
            ),
            (
                "top_p",
                self.top_p,
                positive(self.top_p) && self.top_p <= 1.0,
                "more than 0 and at most 1",
            ),
            (
                "min_p",
                self.min_p,
                (0.0..=1.0).contains(&self.min_p),
                "0 to 1",
            ),
            (
                "repeat_penalty",
                self.repeat_penalty,
                positive(self.repeat_penalty),
                "more than 0",
            ),
            (
                "frequency_penalty",
                self.frequency_penalty,
                true,
                "a number",
            ),
            ("presence_penalty", self.presence_penalty, true, "a number"),
        ] {
            if !ok || !value.is_finite() {
                return Err(invalid(format!("{name} is {value}, expected {expected}")));
            }
        }
        match self.logit_bias.iter().find(|(_, bias)| !bias.is_finite()) {
            Some((id, bias)) => Err(invalid(format!(
                "the logit_bias of token {id} is {bias}, expected a number"
            ))),
            None => Ok(()),
        }
    }
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, why)
}
