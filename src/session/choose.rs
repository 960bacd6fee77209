//! Choosing the tokens of one answer: the sampler, within what the constraint allows.

use super::{GenerateOptions, Sampler, TokenLogprobs};
use crate::{
    Error, ErrorKind, Result,
    constraint::Guide,
    tokenizer::{TokenId, Tokenizer},
};

/// Chooses the tokens of one answer.
pub(super) struct Chooser {
    sampler: Sampler,
    guide: Option<Guide>,
    /// Tokens of the answer that the constraint left no choice about.
    pub(super) forced: usize,
    /// How many most likely tokens are wanted for each of the answer's, if any.
    n_logprobs: Option<usize>,
    /// Those of the token chosen last.
    last: Option<TokenLogprobs>,
    /// Those of the answer, if they are wanted.
    pub(super) logprobs: Vec<TokenLogprobs>,
}

impl Chooser {
    /// A chooser for an answer of a model with `tokenizer`.
    ///
    /// Errors with `InvalidArgument` if the options make no sense.
    pub(super) fn new(options: &GenerateOptions, tokenizer: &Tokenizer) -> Result<Self> {
        if options.ignore_eos && options.constraint.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "ignore_eos and a constraint exclude each other: a constrained answer has an end",
            ));
        }
        let mut biased = options.sampling.logit_bias.iter();
        let n_vocab = tokenizer.vocab_size();
        if let Some((id, _)) = biased.find(|(id, _)| *id >= n_vocab) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("logit_bias names token {id}, but the vocabulary has {n_vocab} tokens"),
            ));
        }
        let constraint = options.constraint.as_ref();
        Ok(Self {
            sampler: Sampler::new(options.sampling.clone())?,
            guide: constraint.map(|c| c.guide(tokenizer)).transpose()?,
            forced: 0,
            n_logprobs: options.logprobs,
            last: None,
            logprobs: Vec::new(),
        })
    }

    /// The next token, before which the model's `logits` stand; perhaps the one that ends the answer.
    /// Logits are not looked at where the token is [certain](Self::certain) and log probabilities are
    /// not [wanted](Self::wants_logprobs).
    pub(super) fn choose(&mut self, logits: &[f32]) -> Result<TokenId> {
        let id = self.choose_by(logits)?;
        self.last = self.n_logprobs.map(|n| TokenLogprobs::new(logits, id, n));
        Ok(id)
    }

    fn choose_by(&mut self, logits: &[f32]) -> Result<TokenId> {
        let Some(guide) = &mut self.guide else {
            return self.sampler.sample(logits);
        };
        if let Some(&id) = guide.forced().front() {
            self.sampler.remember(id);
            self.forced += 1;
            return Ok(id);
        }
        self.sampler.sample_among(logits, &guide.allowed()?)
    }

    /// Whether log probabilities are asked for.
    pub(super) fn wants_logprobs(&self) -> bool {
        self.n_logprobs.is_some()
    }

    /// Takes note that `id`, which was chosen, became part of the answer.
    pub(super) fn take(&mut self, id: TokenId) -> Result<()> {
        self.logprobs.extend(self.last.take());
        self.guide.as_mut().map_or(Ok(()), |guide| guide.take(id))
    }

    /// Whether the constraint lets nothing follow.
    pub(super) fn is_complete(&self) -> bool {
        self.guide.as_ref().is_some_and(Guide::is_complete)
    }

    /// At most `most` tokens that will be chosen next, whatever the logits.
    pub(super) fn certain(&self, most: usize) -> Vec<TokenId> {
        let forced = self.guide.iter().flat_map(Guide::forced);
        forced.copied().take(most).collect()
    }

    /// Shortens `draft` to what the constraint allows.
    pub(super) fn shorten(&mut self, draft: &mut Vec<TokenId>) -> Result<()> {
        if let Some(guide) = &mut self.guide {
            draft.truncate(guide.passes(draft)?);
        }
        Ok(())
    }
}
