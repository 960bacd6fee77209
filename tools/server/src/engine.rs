//! The thread that generates: takes jobs from the queue, computes all that are running as one batch,
//! and tells each client what came.
//!
//! Owns the batch. It knows prompts and answers, and nothing of HTTP.

use crate::{
    keys::Client,
    metrics::Metrics,
    queue::{FairQueue, Next},
};
use pixtral::{
    Error, ErrorKind, Result,
    chat::Prompt,
    session::{Answer, AnswerId, Batch, BatchEvent, GenerateOptions, TokenLogprobs},
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};
use tokio::sync::mpsc::UnboundedSender;

/// An answer that somebody waits for.
pub(crate) struct Job {
    pub(crate) prompt: Arc<Prompt>,
    pub(crate) options: GenerateOptions,
    /// Who waits. If nobody listens any more, the job is dropped.
    pub(crate) events: UnboundedSender<JobEvent>,
    pub(crate) since: Instant,
}

/// What becomes of a job.
#[derive(Debug)]
pub(crate) enum JobEvent {
    /// How far its pictures are encoded.
    Encoding { done: usize, total: usize },
    /// Tokens of the prompt that were read.
    Reading { done: usize, total: usize },
    /// A token that was chosen, if that was asked for; its text follows once it is certain.
    Chosen(TokenLogprobs),
    /// The next piece of the answer.
    Text(String),
    /// The answer is over.
    Done(Box<Answer>),
    /// There is none.
    Failed(Error),
}

/// Jobs that wait for the engine.
pub(crate) type Jobs = FairQueue<Client, Job>;

impl Job {
    /// Whether nobody waits any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.events.is_closed()
    }

    pub(crate) fn fail(&self, e: Error) {
        _ = self.events.send(JobEvent::Failed(e));
    }
}

/// The engine. Dropping it fails what is running and closes the queue.
pub(crate) struct Engine {
    pub(crate) batch: Batch,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether to stop now.
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) running: HashMap<AnswerId, Running>,
}

/// A job that was begun.
pub(crate) struct Running {
    job: Job,
    has_begun: bool,
}

impl Engine {
    /// Works until the queue is closed or it is asked to stop.
    ///
    /// Errors if the batch fails, which then ends all answers.
    pub(crate) fn run(&mut self) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed) && self.begin_jobs() {
            self.drop_abandoned();
            if !self.batch.is_idle() {
                match self.step() {
                    // The running step was stopped.
                    Err(e) if e.kind() == ErrorKind::Cancelled => {}
                    result => result?,
                }
            }
        }
        Ok(())
    }

    /// Begins what there is room for; waits if there is nothing else to do. False once the queue is
    /// closed.
    fn begin_jobs(&mut self) -> bool {
        self.count();
        while self.batch.n_free() > 0 {
            match self.jobs.next(self.batch.is_idle()) {
                Next::Item(job) => self.begin(job),
                Next::Nothing => break,
                Next::Closed => return false,
            }
        }
        self.jobs.retain(|job| !job.is_abandoned());
        self.count();
        true
    }

    fn count(&self) {
        self.metrics.running.set(self.running.len() as i64);
        self.metrics.waiting.set(self.jobs.len() as i64);
    }

    fn begin(&mut self, job: Job) {
        if job.is_abandoned() {
            return;
        }
        match self.batch.begin(&job.prompt, &job.options) {
            Ok(id) => {
                let has_begun = false;
                self.running.insert(id, Running { job, has_begun });
            }
            Err(e) => job.fail(e),
        }
    }

    fn drop_abandoned(&mut self) {
        let gone = self
            .running
            .extract_if(|_, running| running.job.is_abandoned());
        for (id, _) in gone {
            self.batch.cancel(id);
        }
    }

    fn step(&mut self) -> Result<()> {
        let (running, metrics) = (&mut self.running, &self.metrics);
        let mut over = Vec::new();
        self.batch.step(&mut |id, event| {
            let Some(running) = running.get_mut(&id) else {
                return;
            };
            let after = running.job.since.elapsed();
            match &event {
                BatchEvent::Text(_) if !running.has_begun => {
                    running.has_begun = true;
                    metrics.begun(after);
                }
                BatchEvent::Done(answer) => metrics.answered(answer, after),
                _ => {}
            }
            let Some((event, is_last)) = event_of(event) else {
                return;
            };
            // Whoever does not listen any more is noticed before the next step.
            _ = running.job.events.send(event);
            if is_last {
                over.push(id);
            }
        })?;
        for id in over {
            self.running.remove(&id);
        }
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.jobs.close();
        for (_, running) in self.running.drain() {
            running.job.fail(Error::new(
                ErrorKind::Cancelled,
                "the server is being stopped",
            ));
        }
    }
}

/// What a client is told, and whether it is the last thing.
fn event_of(event: BatchEvent) -> Option<(JobEvent, bool)> {
    Some(match event {
        BatchEvent::Encoding { done, total } => (JobEvent::Encoding { done, total }, false),
        BatchEvent::Reading { done, total } => (JobEvent::Reading { done, total }, false),
        BatchEvent::Chosen(token) => (JobEvent::Chosen(token.clone()), false),
        BatchEvent::Text(text) => (JobEvent::Text(text.to_owned()), false),
        BatchEvent::Done(answer) => (JobEvent::Done(Box::new(answer)), true),
        BatchEvent::Failed(e) => (JobEvent::Failed(e), true),
        _ => return None,
    })
}
