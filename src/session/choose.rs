//! Choosing the tokens of one answer: the sampler, within what the constraint allows.

use super::{GenerateOptions, Sampler};
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
        let constraint = options.constraint.as_ref();
        Ok(Self {
            sampler: Sampler::new(options.sampling.clone())?,
            guide: constraint.map(|c| c.guide(tokenizer)).transpose()?,
            forced: 0,
        })
    }

    /// The next token, after which the model's `logits` follow; perhaps the one that ends the answer.
    pub(super) fn choose(&mut self, logits: &[f32]) -> Result<TokenId> {
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

    /// Takes note that `id`, which was chosen, became part of the answer.
    pub(super) fn take(&mut self, id: TokenId) -> Result<()> {
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
