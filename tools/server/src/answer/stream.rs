//! Answers piece by piece, as server-sent events.
//!
//! While a prompt is read the stream has comments that say how far it is: clients ignore them, and
//! nobody between takes the connection for dead.

use super::{
    Answers,
    choice::{Choice, Piece},
    shape::Shape,
};
use crate::{
    engine::JobEvent,
    error::ApiError,
    log::Note,
    state::{JobEvents, Place},
};
use axum::{
    http::{HeaderName, HeaderValue},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt, stream};
use serde_json::Value;
use std::{collections::VecDeque, convert::Infallible};
use tokio_stream::wrappers::UnboundedReceiverStream;

/// What the last event of every stream says.
const DONE: &str = "[DONE]";

/// Keeps nginx from collecting events.
const NO_BUFFERING: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);

/// The stream of `answers`. Dropping it abandons them.
pub(super) fn stream(answers: Answers, include_usage: bool) -> Response {
    let n = answers.jobs.len();
    let meaning = answers.meaning;
    let tool_calls_id = answers.shape.tool_calls_id;
    let merged = answers.jobs.into_iter().enumerate().map(numbered);
    let mut events = Events {
        jobs: stream::select_all(merged),
        choices: (0..n)
            .map(|_| Choice::new(meaning, tool_calls_id))
            .collect(),
        pending: VecDeque::new(),
        n_open: n,
        include_usage,
        is_over: false,
        shape: answers.shape,
        note: answers.note,
        _place: answers.place,
    };
    for index in 0..n {
        let opening = events.shape.opening(index);
        events.pending.extend(opening.as_ref().map(data));
    }
    let events = stream::unfold(events, |mut events| async {
        let event = events.next().await?;
        Some((Ok::<_, Infallible>(event), events))
    });
    let sse = Sse::new(events).keep_alive(KeepAlive::default());
    ([NO_BUFFERING], sse).into_response()
}

/// The events of one job with its index.
type Numbered = stream::BoxStream<'static, (usize, JobEvent)>;

fn numbered((index, job): (usize, JobEvents)) -> Numbered {
    let failed = || {
        let stopping = pixtral::Error::new(pixtral::ErrorKind::Cancelled, "stopped");
        stream::once(async move { JobEvent::Failed(stopping) })
    };
    // A job whose engine is gone ends without a last word.
    let events = UnboundedReceiverStream::new(job).chain(failed());
    let mut is_over = false;
    let until_over = events.take_while(move |event| {
        let go_on = !is_over;
        is_over = matches!(event, JobEvent::Done(_) | JobEvent::Failed(_));
        async move { go_on }
    });
    until_over.map(move |event| (index, event)).boxed()
}

struct Events {
    jobs: stream::SelectAll<Numbered>,
    choices: Vec<Choice>,
    /// Events that can be sent.
    pending: VecDeque<Event>,
    n_open: usize,
    include_usage: bool,
    is_over: bool,
    shape: Shape,
    note: Note,
    _place: Place,
}

impl Events {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            match self.jobs.next().await {
                Some((index, event)) => self.take(index, event),
                None => self.is_over = true,
            }
        }
    }

    fn take(&mut self, index: usize, event: JobEvent) {
        let choice = &mut self.choices[index];
        match event {
            JobEvent::Encoding { done, total } => {
                let progress = format!("encoding {done}/{total}");
                self.pending.push_back(Event::default().comment(progress));
            }
            JobEvent::Reading { done, total } => {
                let progress = format!("reading {done}/{total}");
                self.pending.push_back(Event::default().comment(progress));
            }
            JobEvent::Chosen(token) => choice.chosen(token),
            JobEvent::Text(text) => {
                let pieces = choice.push(text);
                self.send(index, pieces);
            }
            JobEvent::Done(answer) => {
                self.note.tokens(answer.reading.n_tokens, answer.ids.len());
                let text = choice.end(answer);
                self.send(index, text.map(Piece::Text).into_iter().collect());
                let closing = self.shape.closing(index, &self.choices[index]);
                self.pending.push_back(data(&closing));
                self.n_open -= 1;
                if self.n_open == 0 {
                    self.end();
                }
            }
            JobEvent::Failed(e) => {
                let e = ApiError::from(e);
                self.pending.push_back(data(&e.to_json()));
                self.pending.push_back(Event::default().data(DONE));
                self.is_over = true;
            }
        }
    }

    /// Sends `pieces` with the tokens that have come since the last ones.
    fn send(&mut self, index: usize, pieces: Vec<Piece>) {
        for piece in pieces {
            let logprobs = std::mem::take(&mut self.choices[index].logprobs);
            let choice = &self.choices[index];
            let event = self.shape.piece(index, piece, choice, &logprobs);
            self.pending.push_back(data(&event));
        }
    }

    fn end(&mut self) {
        if self.include_usage {
            let usage = self.shape.usage(&self.choices);
            self.pending.push_back(data(&usage));
        }
        self.pending.push_back(Event::default().data(DONE));
        self.is_over = true;
    }
}

fn data(json: &Value) -> Event {
    Event::default().data(json.to_string())
}
