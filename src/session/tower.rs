//! Pictures on their way through the vision tower, which works on a thread of its own: where tower and
//! decoder are on different devices, the decoder reads what it can meanwhile.
//!
//! Owns the thread, what it reports and what became of it. It knows nothing of prompts.

use super::{Event, Session, history::ImageId, prefill::Embeddings};
use crate::{
    Error, ErrorKind, Result,
    ggml::CancelFlag,
    preprocess::PreparedImage,
    runtime::{ImageEmbedding, PlacedModel, VisionEncoder},
};
use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// How often a session that waits for a picture looks whether it was cancelled.
const PATIENCE: Duration = Duration::from_millis(20);

/// A picture by its identity.
pub(super) type Picture<'a> = (ImageId, &'a PreparedImage);

/// The tower where a model has it.
pub(super) struct Tower {
    pub(super) placed: Arc<PlacedModel>,
    pub(super) n_threads: usize,
    pub(super) cancel: CancelFlag,
}

impl Tower {
    /// Has `encode` done by `encoder`, or on the CPU if there is no room for it where the tower is:
    /// then `encoder` is from now on the one on the CPU, and `note` is told why before it begins.
    pub(super) fn run<T>(
        &self,
        encoder: &mut VisionEncoder,
        note: impl FnOnce(String),
        encode: &mut dyn FnMut(&mut VisionEncoder) -> Result<T>,
    ) -> Result<T> {
        match encode(encoder) {
            Err(e) if e.kind() == ErrorKind::OutOfMemory && encoder.is_offloaded() => {
                let model = self.placed.model().clone();
                *encoder = VisionEncoder::new(model, self.n_threads, self.cancel.clone())?;
                note(format!("{e}: pictures are encoded on the CPU"));
                encode(encoder)
            }
            result => result,
        }
    }

    /// Encodes `pictures` and reports all of it to `tell`.
    fn encode(&self, pictures: &[Picture], tell: &Sender<News>) {
        let began = Instant::now();
        // Whoever does not listen any more has set the cancel flag.
        let send = |news| _ = tell.send(news);
        let result = self.encode_all(pictures, &send);
        send(News::End(result.map(|()| began.elapsed())));
    }

    fn encode_all(&self, pictures: &[Picture], send: &dyn Fn(News)) -> Result<()> {
        // Made when needed and dropped after: its working memory is large.
        let mut encoder =
            VisionEncoder::of(self.placed.clone(), self.n_threads, self.cancel.clone())?;
        let mut first = 0;
        while first < pictures.len() {
            let grids = pictures[first..].iter().map(|(_, picture)| picture.grid);
            let n = encoder.n_together(grids);
            let batch = &pictures[first..first + n];
            let images: Vec<&PreparedImage> = batch.iter().map(|&(_, picture)| picture).collect();
            let mut progress = |layer, n_layers| {
                let (image, layer) = in_turn(layer, n_layers, n);
                send(News::Layer {
                    image: first + image,
                    layer,
                    n_layers,
                });
            };
            let embeddings =
                self.run(&mut encoder, |why| send(News::OnCpu(why)), &mut |encoder| {
                    encoder.encode_together(&images, &mut progress)
                })?;
            for (&(id, _), embedding) in batch.iter().zip(embeddings) {
                send(News::Embedding(id, embedding));
            }
            first += n;
        }
        Ok(())
    }
}

/// The picture and its layer that are as far, when `n` pictures are computed one after another, as
/// `layer` layers are when they are computed together.
fn in_turn(layer: usize, n_layers: usize, n: usize) -> (usize, usize) {
    let done = layer * n;
    let image = done.saturating_sub(1) / n_layers;
    (image, done - image * n_layers)
}

/// What the tower's thread reports.
enum News {
    Layer {
        image: usize,
        layer: usize,
        n_layers: usize,
    },
    /// From now on pictures are encoded on the CPU, and why.
    OnCpu(String),
    Embedding(ImageId, ImageEmbedding),
    /// All pictures are done, which took so long, or none comes any more.
    End(Result<Duration>),
}

/// Embeddings of pictures, as far as they are there.
pub(super) struct Incoming {
    pub(super) embeddings: Embeddings,
    /// Number of patches of each picture that was encoded.
    pub(super) encoded: Vec<usize>,
    /// Time in the tower, once nothing more comes.
    pub(super) time: Duration,
    /// Whether more may come.
    pub(super) is_open: bool,
    /// Whether the decoder can compute meanwhile.
    pub(super) is_apart: bool,
    n_images: usize,
    news: Receiver<News>,
}

impl Session {
    /// Has `pictures` encoded while `work` is done, which finds their embeddings beside the `known`
    /// ones. What `work` does not wait for is broken off.
    pub(super) fn encode_beside<T>(
        &mut self,
        known: Embeddings,
        pictures: &[Picture],
        work: impl FnOnce(&mut Self, &mut Incoming) -> Result<T>,
    ) -> Result<T> {
        let (tell, news) = channel();
        let mut incoming = Incoming {
            embeddings: known,
            encoded: Vec::new(),
            time: Duration::ZERO,
            is_open: !pictures.is_empty(),
            is_apart: self.plan().has_vision_apart(),
            n_images: pictures.len(),
            news,
        };
        if pictures.is_empty() {
            return work(self, &mut incoming);
        }
        let tower = Tower {
            placed: self.decoder.placed_model().clone(),
            n_threads: self.decoder_options.n_threads,
            cancel: CancelFlag::default(),
        };
        let cancel = tower.cancel.clone();
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("encoder".into());
            let thread = thread.spawn_scoped(scope, move || tower.encode(pictures, &tell));
            let thread = thread.map_err(no_thread)?;
            let result = work(self, &mut incoming);
            cancel.cancel();
            // One that has panicked has nothing more to say.
            _ = thread.join();
            self.keep(&mut incoming);
            result
        })
    }

    /// Waits for what the tower reports next.
    ///
    /// Errors with what has ended the tower's work, and with `Cancelled` if the flag was set or
    /// `events` answered `Break`.
    pub(super) fn await_news(
        &mut self,
        incoming: &mut Incoming,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<()> {
        let news = loop {
            match incoming.news.recv_timeout(PATIENCE) {
                Ok(news) => break news,
                Err(RecvTimeoutError::Timeout) => self.cancel.check()?,
                Err(RecvTimeoutError::Disconnected) => return Err(no_result()),
            }
        };
        match news {
            News::Layer {
                image,
                layer,
                n_layers,
            } => self.tell(
                events,
                Event::Encoding {
                    image,
                    n_images: incoming.n_images,
                    layer,
                    n_layers,
                },
            ),
            other => self.take(other, incoming, events),
        }
    }

    /// Takes what the tower has reported by now. How far it is in a picture that nobody waits for is
    /// not told.
    pub(super) fn take_news(
        &mut self,
        incoming: &mut Incoming,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<()> {
        while let Ok(news) = incoming.news.try_recv() {
            self.take(news, incoming, events)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        news: News,
        incoming: &mut Incoming,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<()> {
        match news {
            News::Layer { .. } => {}
            News::OnCpu(why) => {
                incoming.is_apart = false;
                self.tell(events, Event::Note(&why))?;
            }
            News::Embedding(id, embedding) => {
                let embedding = Arc::new(embedding);
                incoming.encoded.push(embedding.grid.n_patches());
                incoming.embeddings.insert(id, embedding.clone());
                self.images.insert(id, embedding);
            }
            News::End(result) => {
                incoming.is_open = false;
                incoming.time = result?;
                self.decoder.regain_memory();
            }
        }
        Ok(())
    }

    /// Keeps embeddings that came too late for this call: the next one need not compute them.
    fn keep(&mut self, incoming: &mut Incoming) {
        while let Ok(news) = incoming.news.try_recv() {
            if let News::Embedding(id, embedding) = news {
                self.images.insert(id, Arc::new(embedding));
            }
        }
    }
}

/// The error of a system that gives no thread.
pub(super) fn no_thread(e: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Backend,
        format!("cannot start a thread for the vision tower: {e}"),
    )
}

/// The error of a thread that has ended without saying anything.
pub(super) fn no_result() -> Error {
    Error::new(
        ErrorKind::Internal,
        "the vision tower's thread ended without a result",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_a_batch_count_as_if_they_came_in_turn() {
        let counted: Vec<_> = (1..=4).map(|layer| in_turn(layer, 4, 3)).collect();
        assert_eq!(counted, [(0, 3), (1, 2), (2, 1), (2, 4)]);
        let alone: Vec<_> = (1..=4).map(|layer| in_turn(layer, 4, 1)).collect();
        assert_eq!(alone, [(0, 1), (0, 2), (0, 3), (0, 4)]);
    }
}
