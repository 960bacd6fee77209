//! Appending the tokens of an answer, some of them computed ahead.

use super::{Session, choose::Chooser, draft::Drafter, history::Slot};
use crate::{
    Result,
    runtime::{Outputs, Run},
    tokenizer::TokenId,
};
use std::collections::VecDeque;

/// Tokens, drafted or certain, that are in the decoder's cache beyond the history, until the
/// answer's tokens confirm them one by one or another comes.
#[derive(Default)]
pub(super) struct Ahead {
    tokens: VecDeque<TokenId>,
    /// Whether they are a draft.
    is_draft: bool,
    /// Logits that follow each token of the last batch.
    rows: Vec<f32>,
    /// Draft tokens computed.
    pub(super) drafted: usize,
    /// Draft tokens that became part of the answer.
    pub(super) accepted: usize,
}

impl Session {
    /// Appends the token `id` of an answer, of which at most `most` are still to come after it.
    /// Afterwards [`logits`](Session::logits) holds what follows it.
    ///
    /// Nothing is computed if `id` was computed ahead; otherwise what was drafts is dropped, and
    /// computed with it is what `chooser` is certain to choose next or else a new draft, if
    /// `drafter` has one that the chooser could choose. Ends with the error of
    /// [`Decoder::append`](crate::runtime::Decoder::append), the conversation being as before.
    pub(super) fn append_token(
        &mut self,
        id: TokenId,
        most: usize,
        chooser: &mut Chooser,
        drafter: &mut Drafter,
        ahead: &mut Ahead,
    ) -> Result<()> {
        drafter.push(id, &mut self.estimates);
        let n_vocab = self.model.config().text.vocab_size as usize;
        let row = if ahead.tokens.front() == Some(&id) {
            ahead.tokens.pop_front();
            ahead.accepted += usize::from(ahead.is_draft);
            ahead.rows.len() / n_vocab - 1 - ahead.tokens.len()
        } else {
            ahead.tokens.clear();
            self.drop_ahead();
            let most = most
                .min(self.n_ctx() - self.len() - 1)
                .min(self.options.n_ubatch - 1);
            let mut next = chooser.certain(most);
            ahead.is_draft = next.is_empty();
            if ahead.is_draft {
                let is_prepared = |length| self.decoder.is_prepared(1 + length);
                next = drafter.draft(most, &self.estimates, is_prepared);
                chooser.shorten(&mut next)?;
                ahead.drafted += next.len();
            }
            let ids: Vec<TokenId> = [&[id], next.as_slice()].concat();
            let run = Run {
                ids: &ids,
                image_rows: &[],
            };
            self.decoder.append(&run, Outputs::All, &mut ahead.rows)?;
            let seconds = self.decoder.run_time().as_secs_f64();
            self.estimates.took(next.len(), seconds);
            self.estimates
                .built(self.decoder.build_time().as_secs_f64());
            ahead.tokens = next.into();
            0
        };
        self.history.push(Slot::Token(id));
        self.logits.clear();
        self.logits
            .extend_from_slice(&ahead.rows[row * n_vocab..][..n_vocab]);
        Ok(())
    }

    /// Makes the decoder's cache hold exactly the history again.
    pub(super) fn drop_ahead(&mut self) {
        self.decoder.truncate(self.history.len());
    }
}
