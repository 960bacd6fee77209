//! Generating an answer, token by token: at the caller's pace, or to its end.

use super::{
    Event, Reading, SamplingOptions, Session, Speculation, TokenLogprobs, append::Ahead,
    choose::Chooser, draft::Drafter, stop::StopMatcher,
};
use crate::{
    Error, ErrorKind, Result,
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

/// An answer in the making. [`Session::begin`] makes one, [`Session::next_piece`] goes on with it.
pub struct Generation {
    max_tokens: usize,
    chooser: Chooser,
    /// Token that ends the answer.
    eos: Option<TokenId>,
    decoder: StreamDecoder,
    stops: StopMatcher,
    drafter: Drafter,
    ahead: Ahead,
    /// The last token of the answer, if the session has not read it yet.
    unread: Option<TokenId>,
    /// The session's [`Session::turn`] when this began.
    turn: u64,
    text: String,
    ids: Vec<TokenId>,
    finish: Option<Finish>,
    reading: Reading,
    started: Instant,
    decode_time: Duration,
}

impl Generation {
    /// Why the answer ended; `None` while it goes on.
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// The answer as far as it came. If it did not come to its end, that is as if it had been
    /// cancelled.
    pub fn into_answer(self) -> Answer {
        Answer {
            text: self.text,
            ids: self.ids,
            logprobs: self.chooser.logprobs,
            finish: self.finish.unwrap_or(Finish::Cancelled),
            reading: self.reading,
            drafted: self.ahead.drafted,
            accepted: self.ahead.accepted,
            forced: self.chooser.forced,
            decode_time: self.decode_time,
        }
    }
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
        let mut generation = self.begin(prompt, options, events)?;
        while let Some(piece) = self.next_piece(&mut generation)? {
            if events(Event::Text(&piece)).is_break() {
                self.cancel.cancel();
            }
        }
        Ok(generation.into_answer())
    }

    /// Reads `prompt` (see [`read`](Session::read)), whose answer [`next_piece`](Self::next_piece)
    /// then gives.
    pub fn begin(
        &mut self,
        prompt: &Prompt,
        options: &GenerateOptions,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Generation> {
        let chooser = Chooser::new(options, self.model.tokenizer());
        let read = chooser.and_then(|chooser| Ok((chooser, self.read_prompt(prompt, events)?)));
        // A cancel that comes after the reading is for the answer.
        let (chooser, reading) = read.inspect_err(|_| self.cancel.reset())?;
        let tokenizer = self.model.tokenizer();
        let eos = Some(tokenizer.eos()).filter(|_| !options.ignore_eos);
        Ok(Generation {
            max_tokens: options.max_tokens.unwrap_or(usize::MAX),
            chooser,
            eos,
            decoder: StreamDecoder::new(tokenizer),
            stops: StopMatcher::new(options.stop.clone()),
            drafter: Drafter::new(options.speculation, &self.history, eos),
            ahead: Ahead::default(),
            unread: None,
            turn: self.turn,
            text: String::new(),
            ids: Vec::new(),
            finish: None,
            reading,
            started: Instant::now(),
            decode_time: Duration::ZERO,
        })
    }

    /// The next piece of the answer, never empty; `None` when it has [ended](Generation::finish),
    /// which it also does soon after the session was cancelled.
    ///
    /// Errors with `InvalidArgument` if the session has read something else since `generation`
    /// began.
    pub fn next_piece(&mut self, generation: &mut Generation) -> Result<Option<String>> {
        let is_current = generation.turn == self.turn;
        if generation.finish.is_some() {
            if is_current {
                self.cancel.reset();
            }
            return Ok(None);
        }
        if !is_current {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the session has gone on to something else: this answer cannot be continued",
            ));
        }
        let piece = self.advance(generation);
        if generation.finish.is_some() || piece.is_err() {
            self.drop_ahead();
            self.cancel.reset();
        }
        generation.decode_time = generation.started.elapsed();
        let piece = piece?;
        generation.text.push_str(&piece);
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    /// Goes on until there is text to show or the answer ends, which is then noted.
    fn advance(&mut self, g: &mut Generation) -> Result<String> {
        loop {
            let left = g.max_tokens - g.ids.len();
            if let Some(id) = g.unread.take() {
                if self.len() == self.n_ctx() {
                    return Ok(g.end(Finish::ContextFull));
                }
                let appended = self.cancel.check().and_then(|()| {
                    self.append_token(id, left, &mut g.chooser, &mut g.drafter, &mut g.ahead)
                });
                match appended {
                    Err(e) if e.kind() == ErrorKind::Cancelled => {
                        return Ok(g.end(Finish::Cancelled));
                    }
                    other => other?,
                }
            }
            if left == 0 {
                return Ok(g.end(Finish::MaxTokens));
            }
            let id = g.chooser.choose(&self.logits)?;
            if Some(id) == g.eos {
                return Ok(g.end(Finish::EndOfText));
            }
            g.chooser.take(id)?;
            g.ids.push(id);
            let passed = g.stops.push(&g.decoder.push(id));
            if passed.stopped {
                g.finish = Some(Finish::StopString);
                return Ok(passed.text);
            }
            if g.chooser.is_complete() {
                return Ok(passed.text + &g.end(Finish::EndOfText));
            }
            g.unread = Some(id);
            if !passed.text.is_empty() {
                return Ok(passed.text);
            }
        }
    }
}

impl Generation {
    /// Notes the end, and returns what was held back until then.
    fn end(&mut self, finish: Finish) -> String {
        self.finish = Some(finish);
        let tail = self.stops.push(&self.decoder.finish());
        tail.text + &self.stops.finish()
    }
}
