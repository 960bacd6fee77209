//! One conversation with a model: reading prompts, generating answers.
//!
//! Owns the decoder's sequence and what is known to be in it, so that a prompt that begins like
//! the last one is read from where it differs, also after it was saved to a file; the embeddings of
//! recent pictures, in memory and on disk; what reading will cost; sampling, drafts, streaming, stop
//! strings and cancelling. Several conversations can share a decoder, each with a sequence of its own
//! ([`Batch`]). It takes prompts as ids and prepared pictures and knows nothing of messages, templates,
//! picture files or terminals.

mod append;
mod batch;
mod choose;
mod disk_cache;
mod draft;
mod estimate;
mod generate;
mod history;
mod image_cache;
mod prefill;
mod recovery;
mod sampler;
mod saved;
mod sealed;
mod stop;
mod tower;

pub use batch::{AnswerId, Batch, BatchEvent, BatchOptions};
pub use draft::Speculation;
pub use estimate::{Estimate, PictureWork};
pub use generate::{Answer, Finish, GenerateOptions, Generation};
pub use prefill::{Event, Reading};
pub use sampler::{Sampler, SamplingOptions, TokenLogprobs};

use crate::{
    Result,
    ggml::CancelFlag,
    runtime::{
        Decoder, DecoderOptions, KvType, MemoryNeeds, Model, PlacementOptions, Placer, Plan, Rates,
    },
};
use disk_cache::DiskCache;
use draft::Estimates;
use estimate::KeptRates;
use history::Slot;
use image_cache::ImageCache;
use std::{ops::ControlFlow, path::PathBuf, sync::Arc};

/// Default context in tokens: room for a picture of the largest size and a conversation about it.
pub const DEFAULT_CONTEXT: usize = 8192;

/// Default number of tokens computed as one batch.
pub const DEFAULT_UBATCH: usize = 512;

/// How a [`Session`] is set up.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// Longest conversation in tokens; at most the model's `context_length`. `None` takes
    /// [`DEFAULT_CONTEXT`] or, if that is shorter, what the model allows.
    pub n_ctx: Option<usize>,
    /// Most tokens computed as one batch. Results do not depend on it.
    pub n_ubatch: usize,
    /// Storage type of keys and values.
    pub kv_type: KvType,
    /// Threads to compute with; `None` takes [what suits the model](Model::default_threads).
    pub n_threads: Option<usize>,
    /// Which devices hold and compute which parts of the model.
    pub placement: PlacementOptions,
    /// Most bytes of picture embeddings kept for asking about the same picture again.
    pub image_cache_bytes: usize,
    /// Folder that keeps picture embeddings, and [rates](Rates), for later runs, made when it is
    /// first needed; any number of processes can share one. `None` keeps none, and neither does a
    /// folder that cannot be written, a full disk, or a model file without checksums to be known by.
    pub image_cache_dir: Option<PathBuf>,
    /// Most bytes in that folder. What was not used for longest goes first.
    pub image_cache_dir_bytes: u64,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            n_ctx: None,
            n_ubatch: DEFAULT_UBATCH,
            kv_type: KvType::default(),
            n_threads: None,
            placement: PlacementOptions::default(),
            image_cache_bytes: 256 << 20,
            image_cache_dir: None,
            image_cache_dir_bytes: 512 << 20,
        }
    }
}

impl SessionOptions {
    /// How the decoder of a session of `model` is set up.
    pub fn decoder(&self, model: &Model) -> DecoderOptions {
        let longest = model.config().text.context_length as usize;
        DecoderOptions {
            n_ctx: self.n_ctx.unwrap_or(DEFAULT_CONTEXT.min(longest)),
            n_ubatch: self.n_ubatch,
            kv_type: self.kv_type,
            n_threads: self.n_threads.unwrap_or_else(|| model.default_threads()),
            reserve_bytes: self.image_cache_bytes as u64,
            n_sequences: 1,
        }
    }

    /// What keeps embeddings of pictures of `model`.
    fn image_cache(&self, model: &Model) -> ImageCache {
        let folder = self.image_cache_dir.clone();
        let files =
            folder.and_then(|folder| DiskCache::new(folder, self.image_cache_dir_bytes, model));
        ImageCache::new(self.image_cache_bytes, files)
    }
}

/// A conversation in progress. Made by [`Session::new`]; used by one thread at a time, while
/// [`Session::cancel_flag`] works from any.
pub struct Session {
    model: Arc<Model>,
    options: SessionOptions,
    decoder_options: DecoderOptions,
    placer: Placer,
    decoder: Decoder,
    /// What each cell of the decoder's cache holds.
    history: Vec<Slot>,
    images: ImageCache,
    /// Logits of the last token read.
    logits: Vec<f32>,
    /// Whether drafts pay, kept from answer to answer.
    estimates: Estimates,
    /// How long reading takes here, once it is known.
    rates: Option<Rates>,
    kept_rates: Option<KeptRates>,
    /// Counts what was read, so that an answer to an earlier prompt is not continued.
    turn: u64,
    cancel: CancelFlag,
}

impl Session {
    /// What a session of `model` with these options would need beside the weights, on the CPU alone.
    ///
    /// Errors if the options make no sense for the model.
    pub fn memory_needs(model: &Arc<Model>, options: &SessionOptions) -> Result<MemoryNeeds> {
        Decoder::memory_needs(model, &options.decoder(model))
    }

    /// An empty conversation with `model`.
    ///
    /// Errors if the options make no sense for the model, and with `OutOfMemory` if there is no room
    /// for [what they need](Self::memory_needs). If memory is short for the weights, they are read
    /// from the file again and again, as few as possible.
    pub fn new(model: Arc<Model>, options: SessionOptions) -> Result<Self> {
        Self::start(model, options, &mut |_| ControlFlow::Continue(()))
    }

    /// The same with `events`, which hears of weights that go to other devices and may stop it with
    /// an error of kind `Cancelled`.
    pub fn start(
        model: Arc<Model>,
        options: SessionOptions,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Self> {
        let cancel = CancelFlag::default();
        let decoder_options = options.decoder(&model);
        let mut placer = Placer::new(options.placement.clone())?;
        let decoder = placer.decoder(&model, &decoder_options, &cancel, &mut |uploaded| {
            events(uploaded.into())
        })?;
        Ok(Self {
            images: options.image_cache(&model),
            history: Vec::new(),
            logits: Vec::new(),
            estimates: Estimates::default(),
            rates: None,
            kept_rates: options.image_cache_dir.clone().map(|folder| {
                let n_threads = decoder_options.n_threads;
                KeptRates::new(folder, &model, options.kv_type, n_threads)
            }),
            turn: 0,
            model,
            options,
            decoder_options,
            placer,
            decoder,
            cancel,
        })
    }

    /// The model of this conversation.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Longest conversation in tokens.
    pub fn n_ctx(&self) -> usize {
        self.decoder_options.n_ctx
    }

    /// Where the parts of the model are.
    pub fn plan(&self) -> &Plan {
        self.decoder.plan()
    }

    /// What this session needs beside the weights, at most.
    pub fn needs(&self) -> MemoryNeeds {
        self.decoder.needs()
    }

    /// How many of the parts of the weights (layers and output) are read from the file for each run,
    /// since memory does not hold them, and how many parts there are; `None` if all fit.
    pub fn streamed_parts(&self) -> Option<(usize, usize)> {
        self.decoder.streamed_parts()
    }

    /// Tokens that the conversation holds now.
    pub fn len(&self) -> usize {
        self.history.len()
    }

    /// Whether nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.history.is_empty()
    }

    /// Forgets the conversation. Picture embeddings are kept.
    pub fn clear(&mut self) {
        self.forget_from(0);
    }

    /// Logits that follow the last token read, `vocab_size` values; empty before the first.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// Stops the running call from any thread; the session stays usable.
    ///
    /// Who cancels need not know whether the call has begun: if none runs, the next of
    /// [`read`](Self::read), [`begin`](Self::begin), [`generate`](Self::generate) and
    /// [`embed`](Self::embed) is stopped at its beginning. Each of them resets the flag when it ends,
    /// for whatever reason, so that no later one is stopped too; an answer that is taken piece by
    /// piece ends with the [`next_piece`](Self::next_piece) that says so. A cancel that may have come
    /// too late, and should not stop what comes next, is taken back by
    /// [`reset`](CancelFlag::reset).
    pub fn cancel_flag(&self) -> CancelFlag {
        self.cancel.clone()
    }

    /// Runs a whole call, with which a cancel is over that came before its end.
    fn cancellable<T>(&mut self, call: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let result = call(self);
        self.cancel.reset();
        result
    }

    fn forget_from(&mut self, len: usize) {
        self.turn += 1;
        self.history.truncate(len);
        self.decoder.truncate(len);
        self.logits.clear();
    }
}
