//! A picture on its way through the vision tower, a slice of the work at a time: the tower runs on a
//! thread of its own, which waits before each slice until it is asked for, so that the cores are free
//! for the decoder in between.

use crate::{
    Result,
    ggml::CancelFlag,
    preprocess::PreparedImage,
    runtime::{ImageEmbedding, PlacedModel, VisionEncoder},
    session::{
        history::ImageId,
        tower::{Tower, no_result, no_thread},
    },
};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A picture that is being encoded. Dropping it breaks that off.
pub(super) struct Encoding {
    pub(super) image: ImageId,
    /// Time in the tower so far.
    pub(super) time: Duration,
    cancel: CancelFlag,
    /// Asks for a slice; gone when the thread should end.
    go: Option<SyncSender<()>>,
    news: Receiver<News>,
    thread: Option<JoinHandle<()>>,
}

/// What a slice led to.
pub(super) enum News {
    /// So many slices are done, of so many.
    Slice(usize, usize),
    /// All are.
    Done(Result<ImageEmbedding>),
}

impl Encoding {
    /// Makes ready to encode `picture`, whose identity is `image`, where `placed` has the tower.
    pub(super) fn begin(
        placed: Arc<PlacedModel>,
        n_threads: usize,
        image: ImageId,
        picture: Arc<PreparedImage>,
    ) -> Result<Self> {
        let tower = Tower {
            placed,
            n_threads,
            cancel: CancelFlag::default(),
        };
        let cancel = tower.cancel.clone();
        let (go, asked) = sync_channel(1);
        // Never waits for a listener: there may be none any more.
        let (tell, news) = channel();
        let work = move || {
            if asked.recv().is_err() {
                return;
            }
            let mut slice = |done, total| {
                // Whoever does not listen or ask any more has broken it off.
                let gone = tell.send(News::Slice(done, total)).is_err();
                if gone || asked.recv().is_err() {
                    tower.cancel.cancel();
                }
            };
            let result = encode(&tower, &picture, &mut slice);
            // As above.
            _ = tell.send(News::Done(result));
        };
        let thread = thread::Builder::new().name("encoder".into()).spawn(work);
        let thread = thread.map_err(no_thread)?;
        Ok(Self {
            image,
            time: Duration::ZERO,
            cancel,
            go: Some(go),
            news,
            thread: Some(thread),
        })
    }

    /// Has the next slice computed.
    pub(super) fn slice(&mut self) -> News {
        let began = Instant::now();
        if let Some(go) = &self.go {
            // A thread that has ended says so below.
            _ = go.send(());
        }
        let news = (self.news.recv()).unwrap_or_else(|_| News::Done(Err(no_result())));
        self.time += began.elapsed();
        news
    }
}

impl Drop for Encoding {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.go = None;
        if let Some(thread) = self.thread.take() {
            // One that has panicked has nothing more to say.
            _ = thread.join();
        }
    }
}

/// Encodes `picture`, one slice after another.
fn encode(
    tower: &Tower,
    picture: &PreparedImage,
    slice: &mut dyn FnMut(usize, usize),
) -> Result<ImageEmbedding> {
    let (placed, cancel) = (tower.placed.clone(), tower.cancel.clone());
    let mut encoder = VisionEncoder::beside(placed, tower.n_threads, cancel)?;
    tower.run(&mut encoder, |_| (), &mut |encoder| {
        encoder.encode_in_slices(picture, slice)
    })
}
