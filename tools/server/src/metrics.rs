//! What is counted, for Prometheus.

use pixtral::session::Answer;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) path: String,
    pub(crate) status: u16,
}

pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) running: Gauge,
    pub(crate) waiting: Gauge,
    pictures: Counter,
    prompt_tokens: Counter,
    cached_tokens: Counter,
    generated_tokens: Counter,
    first_token_seconds: Histogram,
    answer_seconds: Histogram,
    /// A moving mean of seconds an answer, if there was one.
    mean_seconds: Mutex<Option<f64>>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        // From 50 ms to 27 min.
        let seconds = || Histogram::new(exponential_buckets(0.05, 2.0, 16));
        let mut metrics = Self {
            registry: Registry::with_prefix("pixtral"),
            requests: Family::default(),
            running: Gauge::default(),
            waiting: Gauge::default(),
            pictures: Counter::default(),
            prompt_tokens: Counter::default(),
            cached_tokens: Counter::default(),
            generated_tokens: Counter::default(),
            first_token_seconds: seconds(),
            answer_seconds: seconds(),
            mean_seconds: Mutex::new(None),
        };
        let r = &mut metrics.registry;
        r.register(
            "requests",
            "Requests by path and status",
            metrics.requests.clone(),
        );
        r.register(
            "running",
            "Answers being generated",
            metrics.running.clone(),
        );
        r.register(
            "waiting",
            "Answers that wait for their turn",
            metrics.waiting.clone(),
        );
        r.register(
            "pictures",
            "Pictures that were encoded",
            metrics.pictures.clone(),
        );
        r.register(
            "prompt_tokens",
            "Tokens of prompts",
            metrics.prompt_tokens.clone(),
        );
        r.register(
            "cached_tokens",
            "Tokens of prompts that were known from before",
            metrics.cached_tokens.clone(),
        );
        r.register(
            "generated_tokens",
            "Tokens of answers",
            metrics.generated_tokens.clone(),
        );
        r.register(
            "first_token_seconds",
            "Time from a request to the first token of its answer",
            metrics.first_token_seconds.clone(),
        );
        r.register(
            "answer_seconds",
            "Time from a request to the end of its answer",
            metrics.answer_seconds.clone(),
        );
        metrics
    }

    /// Takes note of an answer's first token.
    pub(crate) fn begun(&self, after: Duration) {
        self.first_token_seconds.observe(after.as_secs_f64());
    }

    /// Takes note of an answer.
    pub(crate) fn answered(&self, answer: &Answer, after: Duration) {
        self.pictures.inc_by(answer.reading.n_encoded as u64);
        self.prompt_tokens.inc_by(answer.reading.n_tokens as u64);
        self.cached_tokens.inc_by(answer.reading.n_reused as u64);
        self.generated_tokens.inc_by(answer.ids.len() as u64);
        let seconds = after.as_secs_f64();
        self.answer_seconds.observe(seconds);
        let mut mean = self
            .mean_seconds
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *mean = Some(mean.map_or(seconds, |mean| 0.8 * mean + 0.2 * seconds));
    }

    /// Seconds after which there may be room again: about what an answer takes.
    pub(crate) fn retry_after(&self) -> u64 {
        let mean = *self
            .mean_seconds
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (mean.unwrap_or(1.0).ceil() as u64).clamp(1, 60)
    }

    /// All of it in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        _ = encode(&mut text, &self.registry);
        text
    }
}
