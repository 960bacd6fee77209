//! Several answers at once: each in a sequence of its own of one decoder, all computed as one batch a
//! step, so that weights are read once for all of them.
//!
//! Owns the sequences, what each holds and who may go on from whose beginning; the pictures' embeddings,
//! shared by all; and how a step is divided, so that nobody's answer stalls while others' prompts and
//! pictures are read. It knows nothing of queues or clients.

mod begin;
mod encoding;
mod pace;
mod schedule;
mod step;
mod task;

use super::{
    Answer, Event, Finish, SessionOptions, TokenLogprobs, history::Slot, image_cache::ImageCache,
    prefill::check_ubatch,
};
use crate::{
    Error, Result,
    ggml::CancelFlag,
    runtime::{Decoder, DecoderOptions, MemoryNeeds, Model, Placer, Plan},
};
use encoding::Encoding;
use pace::Pace;
use std::{ops::ControlFlow, sync::Arc, time::Duration};
use task::Task;

/// How a [`Batch`] is set up.
#[derive(Clone, Debug)]
pub struct BatchOptions {
    /// How each conversation is set up; `n_ctx` is the longest of each, and the cache of pictures is
    /// shared by all.
    pub session: SessionOptions,
    /// Answers at once.
    pub n_sequences: usize,
    /// What a [`step`](Batch::step) should take at most while answers are being generated, if
    /// prompts or pictures are read beside them: the time between two tokens of an answer. How much
    /// is read follows from measured cost. Where generating alone takes most of it, reading may
    /// take half as long again as that; and a step always gets on with what there is to read, however
    /// slow the machine.
    pub step_time: Duration,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            session: SessionOptions::default(),
            n_sequences: 4,
            step_time: Duration::from_millis(400),
        }
    }
}

impl BatchOptions {
    /// How the decoder of a batch of `model` is set up.
    pub fn decoder(&self, model: &Model) -> DecoderOptions {
        let one = self.session.decoder(model);
        DecoderOptions {
            n_sequences: self.n_sequences,
            // A step has a token of each, and room for reading.
            n_ubatch: one.n_ubatch.max(2 * self.n_sequences),
            ..one
        }
    }
}

/// One answer of a [`Batch`]. No two answers of a batch have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnswerId(u64);

/// What became of an answer in a step.
#[derive(Debug)]
#[non_exhaustive]
pub enum BatchEvent<'a> {
    /// A picture of the prompt passes through the vision tower.
    Encoding {
        /// Slices of the work done.
        done: usize,
        /// Slices in all.
        total: usize,
    },
    /// Tokens of the prompt read.
    Reading {
        /// Tokens done, those known from before included.
        done: usize,
        /// Tokens in all.
        total: usize,
    },
    /// A token became part of the answer. Only if
    /// [`logprobs`](super::GenerateOptions::logprobs) are asked for; its text may come later.
    Chosen(&'a TokenLogprobs),
    /// The next piece of the answer, valid UTF-8, never empty.
    Text(&'a str),
    /// The answer is over.
    Done(Answer),
    /// There is no answer: its constraint is a dead end, or a picture could not be encoded.
    Failed(Error),
}

/// Answers in the making. Used by one thread at a time.
pub struct Batch {
    model: Arc<Model>,
    decoder_options: DecoderOptions,
    placer: Placer,
    decoder: Decoder,
    places: Vec<Place>,
    images: ImageCache,
    /// The picture in the vision tower.
    encoding: Option<Encoding>,
    pace: Pace,
    logits: Vec<f32>,
    cancel: CancelFlag,
    /// Answers begun.
    n_begun: u64,
}

/// A sequence of the decoder.
#[derive(Default)]
struct Place {
    /// What each cell of the sequence's cache holds.
    history: Vec<Slot>,
    running: Option<(AnswerId, Task)>,
    /// The answer that was last here; 0 if there was none.
    last: u64,
}

impl Place {
    /// The prompt that is being read here, if it is.
    fn reading(&self) -> Option<(AnswerId, &Task)> {
        let (id, task) = self.running.as_ref()?;
        task.is_reading(self.history.len()).then_some((*id, task))
    }
}

impl Batch {
    /// What a batch of `model` with these options would need beside the weights, on the CPU alone.
    ///
    /// Errors if the options make no sense for the model.
    pub fn memory_needs(model: &Arc<Model>, options: &BatchOptions) -> Result<MemoryNeeds> {
        Decoder::memory_needs(model, &options.decoder(model))
    }

    /// Room for [`n_sequences`](BatchOptions::n_sequences) answers at once. Memory for all of their
    /// contexts is reckoned with now.
    ///
    /// Errors if the options make no sense for the model, and with `OutOfMemory` if there is no room
    /// for [what they need](Self::memory_needs), saying how many answers there would be room for.
    pub fn new(model: Arc<Model>, options: BatchOptions) -> Result<Self> {
        Self::start(model, options, &mut |_| ControlFlow::Continue(()))
    }

    /// The same with `events`, which hears of weights that go to other devices and may stop it with
    /// an error of kind `Cancelled`.
    pub fn start(
        model: Arc<Model>,
        options: BatchOptions,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Self> {
        check_ubatch(options.session.n_ubatch)?;
        let cancel = CancelFlag::default();
        let decoder_options = options.decoder(&model);
        let mut placer = Placer::new(options.session.placement.clone())?;
        let decoder = placer.decoder(&model, &decoder_options, &cancel, &mut |uploaded| {
            events(uploaded.into())
        })?;
        Ok(Self {
            places: (0..options.n_sequences).map(|_| Place::default()).collect(),
            images: options.session.image_cache(&model),
            encoding: None,
            pace: Pace::new(options.step_time),
            logits: Vec::new(),
            n_begun: 0,
            model,
            decoder_options,
            placer,
            decoder,
            cancel,
        })
    }

    /// The model that answers.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Answers at once.
    pub fn n_sequences(&self) -> usize {
        self.places.len()
    }

    /// Answers that could begin now.
    pub fn n_free(&self) -> usize {
        let free = self.places.iter().filter(|place| place.running.is_none());
        free.count()
    }

    /// Whether there is nothing to do.
    pub fn is_idle(&self) -> bool {
        self.n_free() == self.places.len()
    }

    /// Longest conversation in tokens.
    pub fn n_ctx(&self) -> usize {
        self.decoder_options.n_ctx
    }

    /// Where the parts of the model are.
    pub fn plan(&self) -> &Plan {
        self.decoder.plan()
    }

    /// What this batch needs beside the weights, at most.
    pub fn needs(&self) -> MemoryNeeds {
        self.decoder.needs()
    }

    /// Stops the running [`step`](Self::step) from any thread; all answers stay as they were before
    /// it. Stays set until it is reset.
    pub fn cancel_flag(&self) -> CancelFlag {
        self.cancel.clone()
    }

    /// Ends the answer `id` as far as it came; `None` if it is already over.
    pub fn cancel(&mut self, id: AnswerId) -> Option<Answer> {
        let running = |place: &&mut Place| matches!(place.running, Some((own, _)) if own == id);
        let place = self.places.iter_mut().find(running)?;
        let (_, task) = place.running.take()?;
        if self.is_idle() {
            // There will be no step that does it.
            self.encoding = None;
        }
        Some(task.into_answer(Finish::Cancelled))
    }

    /// Places the model on the devices that are left, if one is gone; what was read is read again.
    fn recover(&mut self) -> Result<()> {
        if !self.decoder.is_lost() {
            return Ok(());
        }
        self.encoding = None;
        for place in &mut self.places {
            place.history.clear();
        }
        // First the old one's memory, then the new one.
        self.decoder.vacate(&self.decoder_options)?;
        let mut silent = |_| ControlFlow::Continue(());
        self.decoder = self.placer.decoder(
            &self.model,
            &self.decoder_options,
            &self.cancel,
            &mut silent,
        )?;
        Ok(())
    }
}
