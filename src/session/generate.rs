//! Generating an answer, token by token.

use super::{
    Event, Reading, SamplingOptions, Session, Speculation, TokenLogprobs, append::Ahead,
    choose::Chooser, draft::Drafter, stop::StopMatcher,
};
use crate::{
    ErrorKind, Result,
    chat::Prompt,
    constraint::Constraint,
    tokenizer::{StreamDecoder, TokenId},
};
use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// How an answer is generated.
#[derive(Clone, Debug, Default)]
pub struct GenerateOptions {
    /// Most tokens of the answer; `None` goes on until the model ends it or the context is full.
    pub max_tokens: Option<usize>,
    /// Strings that end the answer; not part of it.
    pub stop: Vec<String>,
    /// What the answer may be; `None` leaves it to the model. Holds for what is generated, not for a
    /// beginning that the prompt gives. The answer satisfies it if it ends with
    /// [`Finish::EndOfText`]; otherwise it is cut short.
    pub constraint: Option<Constraint>,
    /// How tokens are chosen.
    pub sampling: SamplingOptions,
    /// Whether the answer tells how likely its tokens were, and with how many of the most likely
    /// tokens in the place of each.
    pub logprobs: Option<usize>,
    /// Go on when the model ends its answer (`</s>` is then skipped in the text): for measuring.
    pub ignore_eos: bool,
    /// Whether tokens are drafted.
    pub speculation: Speculation,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finish {
    /// The model ended it, or its constraint lets nothing follow.
    EndOfText,
    /// A stop string came.
    StopString,
    /// `max_tokens` were generated.
    MaxTokens,
    /// The context is full: the answer is incomplete.
    ContextFull,
    /// The caller cancelled: the answer is incomplete.
    Cancelled,
}

/// A generated answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// The ids generated, an ending `</s>` not included.
    pub ids: Vec<TokenId>,
    /// How likely each of them was, if that was asked for.
    pub logprobs: Vec<TokenLogprobs>,
    /// Why it ended.
    pub finish: Finish,
    /// What reading the prompt took.
    pub reading: Reading,
    /// Tokens that were computed as drafts.
    pub drafted: usize,
    /// How many of them became part of the answer.
    pub accepted: usize,
    /// Tokens that the constraint left no choice about: computed together, not one by one.
    pub forced: usize,
    /// Time from the first generated token to the last.
    pub decode_time: Duration,
}

impl Session {
    /// Reads `prompt` (see [`read`](Session::read)) and generates an answer to it, which
    /// `events` receives piece by piece.
    ///
    /// Cancelling while the prompt is read is an error of kind `Cancelled`; later it ends the
    /// answer, which is returned as far as it came. A constraint that allows nothing to follow what
    /// was generated, nor an end, is an error of kind `InvalidArgument`.
    pub fn generate(
        &mut self,
        prompt: &Prompt,
        options: &GenerateOptions,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Answer> {
        let model = self.model.clone();
        let mut chooser = Chooser::new(options, model.tokenizer())?;
        let reading = self.read(prompt, events)?;
        let eos = Some(model.tokenizer().eos()).filter(|_| !options.ignore_eos);
        let mut decoder = StreamDecoder::new(model.tokenizer());
        let mut stops = StopMatcher::new(options.stop.clone());
        let mut text = String::new();
        let mut ids = Vec::new();
        let mut drafter = Drafter::new(options.speculation, &self.history, eos);
        let mut ahead = Ahead::default();
        let mut show = |piece: String, session: &Session| -> Result<()> {
            text.push_str(&piece);
            match piece.is_empty() {
                true => session.cancel.check(),
                false => session.tell(events, Event::Text(&piece)),
            }
        };
        let started = Instant::now();
        let finish = loop {
            let left = options.max_tokens.unwrap_or(usize::MAX) - ids.len();
            if left == 0 {
                break Ok(Finish::MaxTokens);
            }
            let id = match chooser.choose(&self.logits) {
                Ok(id) if Some(id) == eos => break Ok(Finish::EndOfText),
                Ok(id) => id,
                Err(e) => break Err(e),
            };
            if let Err(e) = chooser.take(id) {
                break Err(e);
            }
            ids.push(id);
            let passed = stops.push(&decoder.push(id));
            let shown = show(passed.text, self);
            if passed.stopped {
                break Ok(Finish::StopString);
            }
            if chooser.is_complete() {
                break Ok(Finish::EndOfText);
            }
            if self.len() == self.n_ctx() {
                break Ok(Finish::ContextFull);
            }
            let appended = shown.and_then(|()| {
                self.append_token(id, left - 1, &mut chooser, &mut drafter, &mut ahead)
            });
            match appended {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::Cancelled => break Ok(Finish::Cancelled),
                Err(e) => break Err(e),
            }
        };
        self.drop_ahead();
        let finish = finish?;
        let decode_time = started.elapsed();
        if finish != Finish::StopString {
            let tail = stops.push(&decoder.finish());
            let tail = tail.text + &stops.finish();
            // The answer is over: an objection to its last piece changes nothing.
            _ = show(tail, self);
        }
        Ok(Answer {
            text,
            ids,
            logprobs: chooser.logprobs,
            finish,
            reading,
            drafted: ahead.drafted,
            accepted: ahead.accepted,
            forced: chooser.forced,
            decode_time,
        })
    }
}
