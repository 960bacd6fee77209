//! The server as a whole: made, run, stopped.

use crate::{
    engine::{Engine, Jobs},
    keys::Keys,
    metrics::Metrics,
    options::ServerOptions,
    pictures::Sources,
    routes::router,
    state::{Shared, State, now},
};
use axum::serve::ListenerExt;
use pixtral::{
    Error, ErrorKind, Result,
    chat::ChatTemplate,
    constraint::ConstraintCompiler,
    ggml::CancelFlag,
    runtime::{Model, Plan},
    session::{Batch, BatchOptions, Event},
};
use std::{
    collections::HashMap,
    net::SocketAddr,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{OnceCell, Semaphore, watch},
    time::timeout,
};

/// Threads that read requests and write answers: little work, next to computing.
const IO_THREADS: usize = 2;

/// Pictures decoded at once.
const DECODERS: usize = 2;

/// How often the flag that stops the server is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How long the server waits for its connections to end after all answers have been cut.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A server that listens and has what it needs.
pub struct Server {
    state: Shared,
    engine: Engine,
    listener: TcpListener,
    address: SocketAddr,
    runtime: Runtime,
}

impl Server {
    /// Listens, and sets memory aside for all answers. `events` hears of weights that go to other
    /// devices.
    ///
    /// Errors if the address cannot be had, an option makes no sense or memory is lacking.
    pub fn new(
        model: Arc<Model>,
        options: ServerOptions,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(IO_THREADS)
            .enable_all()
            .build()
            .map_err(|e| Error::io("the server", "start threads for", e))?;
        let (listener, address) = runtime.block_on(listen(&options))?;
        let batch_options = BatchOptions {
            session: options.session.clone(),
            n_sequences: options.parallel,
            ..BatchOptions::default()
        };
        let batch = Batch::start(model.clone(), batch_options, events)?;
        let metrics = Arc::new(Metrics::new());
        let jobs = Arc::new(Jobs::new());
        let state = State {
            template: ChatTemplate::new(model.tokenizer(), &model.config().vision)?,
            compiler: ConstraintCompiler::new(model.tokenizer())?,
            n_ctx: batch.n_ctx(),
            sources: Sources::new(&options)?,
            keys: Keys::new(&options.api_keys),
            metrics: metrics.clone(),
            jobs: jobs.clone(),
            places: Arc::new(Semaphore::new(options.parallel + options.queue)),
            decoding: Semaphore::new(DECODERS),
            is_cpu_only: batch.plan().is_cpu_only(),
            rates: OnceCell::new(),
            created: now(),
            model,
            options,
        };
        Ok(Self {
            engine: Engine {
                batch,
                jobs,
                metrics,
                stop: Arc::new(AtomicBool::new(false)),
                running: HashMap::new(),
            },
            state: Arc::new(state),
            listener,
            address,
            runtime,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the parts of the model are.
    pub fn plan(&self) -> &Plan {
        self.engine.batch.plan()
    }

    /// Longest prompt and answer together, in tokens.
    pub fn n_ctx(&self) -> usize {
        self.state.n_ctx
    }

    /// Serves until `stop` is set. Then no connection is taken any more, and answers in the making have
    /// the time of [`ServerOptions::grace`] to end.
    ///
    /// Errors if computing fails for good.
    pub fn run(self, stop: &CancelFlag) -> Result<()> {
        let Self {
            state,
            engine,
            listener,
            runtime,
            ..
        } = self;
        let cut = engine.stop.clone();
        let step = engine.batch.cancel_flag();
        let (engine, ended) = spawn(engine)?;
        let grace = state.options.grace;
        let stopping = async |mut ended: watch::Receiver<bool>| {
            while !stop.is_cancelled() && !*ended.borrow_and_update() {
                _ = timeout(LOOK, ended.changed()).await;
            }
        };
        runtime.block_on(async {
            let (closing, mut closed) = watch::channel(false);
            let service = router(state.clone()).into_make_service_with_connect_info::<SocketAddr>();
            // Events are small and wanted at once.
            let listener = listener.tap_io(|connection| _ = connection.set_nodelay(true));
            let serve = axum::serve(listener, service).with_graceful_shutdown(async move {
                _ = closed.wait_for(|&closing| closing).await;
            });
            let mut serve = tokio::spawn(serve.into_future());
            stopping(ended.clone()).await;
            _ = closing.send(true);
            if timeout(grace, &mut serve).await.is_ok() {
                return;
            }
            cut.store(true, Ordering::Relaxed);
            step.cancel();
            state.jobs.close();
            _ = timeout(LAST_WORDS, serve).await;
        });
        state.jobs.close();
        runtime.shutdown_background();
        engine.join().unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Internal,
                "the thread that computes has panicked, please report it",
            ))
        })
    }
}

/// Starts the engine's thread; the second result becomes true when it has ended.
fn spawn(mut engine: Engine) -> Result<(JoinHandle<Result<()>>, watch::Receiver<bool>)> {
    let (end, ended) = watch::channel(false);
    let run = move || {
        let result = {
            let _end = SayEnd(end);
            engine.run()
        };
        drop(engine);
        result
    };
    let thread = thread::Builder::new().name("engine".to_owned());
    let handle = thread
        .spawn(run)
        .map_err(|e| Error::io("the server", "start a thread for", e))?;
    Ok((handle, ended))
}

/// Says that a thread has ended, also when it panics.
struct SayEnd(watch::Sender<bool>);

impl Drop for SayEnd {
    fn drop(&mut self) {
        _ = self.0.send(true);
    }
}

async fn listen(options: &ServerOptions) -> Result<(TcpListener, SocketAddr)> {
    let place = format!("{}:{}", options.host, options.port);
    let failed = |e| Error::io(&place, "listen at", e);
    let listener = TcpListener::bind((options.host.as_str(), options.port))
        .await
        .map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
