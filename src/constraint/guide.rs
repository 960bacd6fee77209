//! The way along one answer.

use super::{certain::Tail, compiler::short};
use crate::{
    Error, ErrorKind, Result,
    tokenizer::{TokenId, Tokenizer},
};
use llguidance::{Matcher, TokenParser, toktrie::SimpleVob};
use std::{collections::VecDeque, fmt};

/// Why an answer cannot go on if nothing else is known.
pub(super) const NOTHING: &str = "it allows nothing there";

/// What one answer may go on with.
pub(crate) struct Guide {
    matcher: Matcher,
    n_special: TokenId,
    eos: TokenId,
    tail: Tail,
    /// Tokens that come next, whatever the model thinks.
    forced: VecDeque<TokenId>,
    n_taken: usize,
}

/// The tokens that may come next; at least one.
pub(crate) struct Allowed(SimpleVob);

impl Allowed {
    /// Whether `id`, a token of the vocabulary, is among them.
    pub(crate) fn contains(&self, id: TokenId) -> bool {
        self.0.is_allowed(id)
    }
}

impl Guide {
    /// The way along an answer that `parser`, which has read nothing, describes.
    pub(super) fn new(parser: TokenParser, tokenizer: &Tokenizer) -> Result<Self> {
        let mut guide = Self {
            matcher: Matcher::new(Ok(parser)),
            n_special: tokenizer.special_count(),
            eos: tokenizer.eos(),
            tail: Tail::new(tokenizer),
            forced: VecDeque::new(),
            n_taken: 0,
        };
        guide.look_ahead()?;
        Ok(guide)
    }

    /// The tokens that must come next, as far as that is known; often none.
    pub(crate) fn forced(&self) -> &VecDeque<TokenId> {
        &self.forced
    }

    /// Whether the answer is complete and nothing can follow.
    pub(crate) fn is_complete(&self) -> bool {
        self.matcher.is_stopped()
    }

    /// The tokens that may come next; the one that ends an answer if it may end here. No other
    /// special token is among them.
    ///
    /// Errors with `InvalidArgument` if there is none: the constraint contradicts itself.
    pub(crate) fn allowed(&mut self) -> Result<Allowed> {
        let mut mask = match self.matcher.compute_mask() {
            Ok(mask) => mask,
            Err(e) => return Err(self.dead_end(&e)),
        };
        // A grammar can allow any token by number, but not to end where it is not satisfied.
        let ends = self.matcher.is_accepting().map_err(|e| self.dead_end(&e))?;
        for id in 0..self.n_special {
            mask.disallow_token(id);
        }
        if ends {
            mask.allow_token(self.eos);
        }
        match mask.is_zero() {
            true => Err(self.dead_end(&NOTHING)),
            false => Ok(Allowed(mask)),
        }
    }

    /// How many tokens of `draft` may come next, one after another.
    pub(crate) fn passes(&mut self, draft: &[TokenId]) -> Result<usize> {
        let ordinary = draft.iter().take_while(|&&id| id >= self.n_special).count();
        let passed = self.matcher.validate_tokens(&draft[..ordinary]);
        passed.map_err(|e| self.dead_end(&e))
    }

    /// Takes note that `id`, which was allowed or forced, came next.
    pub(crate) fn take(&mut self, id: TokenId) -> Result<()> {
        if let Err(e) = self.matcher.consume_token(id) {
            return Err(self.dead_end(&e));
        }
        self.n_taken += 1;
        self.tail.push(id);
        match self.forced.pop_front() {
            Some(_) if !self.forced.is_empty() => Ok(()),
            _ => self.look_ahead(),
        }
    }

    /// Finds out what must come next.
    fn look_ahead(&mut self) -> Result<()> {
        if self.is_complete() {
            return Ok(());
        }
        let text = self.matcher.compute_ff_bytes();
        if let Some(e) = self.matcher.get_error() {
            return Err(self.dead_end(&e));
        }
        if !text.is_empty() {
            self.forced = self.tail.certain(&text).into();
        }
        Ok(())
    }

    fn dead_end(&self, why: &dyn fmt::Display) -> Error {
        let why = match short(why) {
            why if why == "NoExtensionBias" => NOTHING.to_owned(),
            why => why,
        };
        let n = self.n_taken;
        Error::new(
            ErrorKind::InvalidArgument,
            format!("the answer cannot go on after {n} tokens as its constraint demands: {why}"),
        )
    }
}
