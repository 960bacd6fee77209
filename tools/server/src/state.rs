//! What all requests share: the model and what was made from it, the engine's queue, keys, counters; and the admission of jobs.

use crate::{
    engine::{Job, JobEvent, Jobs},
    error::{ApiError, Result},
    keys::{Client, Keys},
    metrics::Metrics,
    options::ServerOptions,
    pictures::Sources,
    request::pictures::smaller,
};
use pixtral::{
    chat::{ChatTemplate, Prompt},
    constraint::ConstraintCompiler,
    preprocess::{PreprocessOptions, Preprocessor},
    runtime::{Model, Rates},
    session::{GenerateOptions, Session, SessionOptions},
};
use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::{
    OnceCell, OwnedSemaphorePermit, Semaphore,
    mpsc::{UnboundedReceiver, unbounded_channel},
};

/// The state as handlers get it.
pub(crate) type Shared = Arc<State>;

pub(crate) struct State {
    pub(crate) options: ServerOptions,
    pub(crate) model: Arc<Model>,
    pub(crate) template: ChatTemplate,
    pub(crate) n_ctx: usize,
    pub(crate) sources: Sources,
    pub(crate) keys: Keys,
    pub(crate) metrics: Arc<Metrics>,
    /// What the engine is to do.
    pub(crate) jobs: Arc<Jobs>,
    /// One permit for each answer that may run or wait.
    pub(crate) places: Arc<Semaphore>,
    /// Pictures that may be decoded at once: each may take much memory.
    pub(crate) decoding: Semaphore,
    pub(crate) compiler: ConstraintCompiler,
    /// Whether no other devices compute, which are not measured.
    pub(crate) is_cpu_only: bool,
    pub(crate) rates: OnceCell<Option<Rates>>,
    /// Seconds since 1970 at which the server began.
    pub(crate) created: u64,
}

/// The place of a request among those that run or wait; others get it when this is dropped.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// What comes of a job, for whom it concerns. Dropping it abandons the job.
pub(crate) type JobEvents = UnboundedReceiver<JobEvent>;

impl State {
    /// A place for `n` answers.
    ///
    /// Errors with status 429 if too many wait.
    pub(crate) fn admit(&self, n: usize) -> Result<Place> {
        let permit = self.places.clone().try_acquire_many_owned(n as u32);
        match permit {
            Ok(permit) => Ok(Place { _permit: permit }),
            Err(_) => Err(ApiError::busy(self.metrics.retry_after())),
        }
    }

    /// Hands a job to the engine.
    pub(crate) fn submit(
        &self,
        client: Client,
        prompt: Arc<Prompt>,
        options: GenerateOptions,
    ) -> Result<JobEvents> {
        let (events, receiver) = unbounded_channel();
        let job = Job {
            prompt,
            options,
            events,
            since: Instant::now(),
        };
        match self.jobs.push(client, job) {
            Ok(()) => Ok(receiver),
            Err(_) => Err(ApiError::stopping()),
        }
    }

    /// What prepares pictures of at most `budget` tokens.
    pub(crate) fn preprocessor(&self, budget: Option<u32>) -> Preprocessor {
        let usual = self.options.preprocess;
        let options = PreprocessOptions {
            max_image_tokens: smaller(budget, usual.max_image_tokens),
            ..usual
        };
        Preprocessor::new(&self.model.config().vision, options)
    }

    /// How fast this machine reads, measured when it is first asked for.
    pub(crate) async fn rates(self: &Arc<Self>) -> Result<Option<Rates>> {
        let state = self.clone();
        let measure = || async move { blocking(move || state.measure()).await? };
        self.rates.get_or_try_init(measure).await.copied()
    }

    fn measure(&self) -> Result<Option<Rates>> {
        if !self.is_cpu_only {
            return Ok(None);
        }
        // Only the rates are wanted of this session, so it needs hardly any memory.
        let options = SessionOptions {
            n_ctx: Some(SessionOptions::default().n_ubatch.min(self.n_ctx)),
            ..self.options.session.clone()
        };
        let mut session = Session::new(self.model.clone(), options)?;
        Ok(session.rates()?)
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// Runs `work`, which takes long, where it holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| {
        ApiError::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "the server failed, please report it",
        )
    })
}
