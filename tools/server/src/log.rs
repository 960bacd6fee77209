//! One line on standard error for each request, once it is over, and the id by which to find it.

use crate::{metrics::RequestLabels, state::Shared};
use axum::{
    body::Body,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, header::CONTENT_TYPE},
    middleware::Next,
    response::Response,
};
use futures_util::StreamExt;
use pixtral_terminal::noteln;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::{Instant, SystemTime},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id of a client's own that is taken over.
const LONGEST_ID: usize = 64;

/// What a status is in the log and the metrics when the client did not wait for one (nginx's number).
const GONE: u16 = 499;

/// What those who answer a request can add to its line.
#[derive(Clone, Default)]
pub(crate) struct Note(Arc<Mutex<Tokens>>);

#[derive(Clone, Copy, Default)]
struct Tokens {
    prompt: usize,
    answer: usize,
}

impl Note {
    /// Adds an answer's tokens.
    pub(crate) fn tokens(&self, prompt: usize, answer: usize) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.prompt = prompt;
        tokens.answer += answer;
    }
}

/// A request in progress; its line is written when this is dropped.
struct Line {
    state: Shared,
    id: String,
    peer: Option<SocketAddr>,
    method: Method,
    path: String,
    route: String,
    began: Instant,
    note: Note,
    status: u16,
}

impl Drop for Line {
    fn drop(&mut self) {
        let labels = RequestLabels {
            path: self.route.clone(),
            status: self.status,
        };
        self.state.metrics.requests.get_or_create(&labels).inc();
        let tokens = *self.note.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = self
            .peer
            .map_or_else(|| "-".to_owned(), |peer| peer.ip().to_string());
        let tokens = match tokens.prompt {
            0 => String::new(),
            n => format!(" {n}+{} tokens", tokens.answer),
        };
        noteln!(
            "{} {} {peer} {} {} {} {:.3} s{tokens}",
            humantime::format_rfc3339_seconds(SystemTime::now()),
            self.id,
            self.method,
            self.path,
            self.status,
            self.began.elapsed().as_secs_f64(),
        );
    }
}

/// Gives each request an id, which the response repeats, and writes its line.
pub(crate) async fn requests(
    State(state): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let route = request.extensions().get::<MatchedPath>();
    let id = given_id(&request).unwrap_or_else(|| crate::ids::random("req-"));
    let note = Note::default();
    let mut line = Line {
        peer: peer.map(|info| info.0),
        // What is not served must not grow the metrics.
        route: route.map_or("other", MatchedPath::as_str).to_owned(),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        began: Instant::now(),
        note: note.clone(),
        status: GONE,
        id,
        state,
    };
    request.extensions_mut().insert(note);
    let mut response = next.run(request).await;
    if let Ok(id) = HeaderValue::from_str(&line.id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let status = response.status().as_u16();
    let kind = response.headers().get(CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != "text/event-stream") {
        line.status = status;
        return response;
    }
    // A stream is over when it has ended, or was dropped since the client is gone.
    response.map(|body| {
        let mut stream = body.into_data_stream();
        let stream = futures_util::stream::poll_fn(move |context| {
            let next = stream.poll_next_unpin(context);
            if let Poll::Ready(None) = next {
                // Through a reference, so that all of the line lives as long as the stream.
                let line = &mut line;
                line.status = status;
            }
            next
        });
        Body::from_stream(stream)
    })
}

/// The id that the client gave, if it fits into a line.
fn given_id(request: &Request) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let fits = (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| id.to_owned())
}
