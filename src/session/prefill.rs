//! Reading a prompt: encode its pictures, then bring the decoder's cache to where it stands.

use super::{
    Session,
    history::{ImageId, Slot, common_prefix, image_id, slots},
    tower::{Incoming, Picture},
};
use crate::{
    Error, ErrorKind, Result,
    chat::Prompt,
    preprocess::PreparedImage,
    runtime::{ImageEmbedding, ImageRow, Outputs, Run},
    tokenizer::TokenId,
};
use std::{
    collections::HashMap,
    mem,
    ops::{ControlFlow, Range},
    sync::Arc,
    time::{Duration, Instant},
};

/// What a long call reports while it works. Answering `Break` stops the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Picture `image` of `n_images` passes through the vision tower. Small ones do so together, and
    /// count as if they came in turn. Where the tower's device has no layers, the decoder reads
    /// meanwhile what it can, and is heard of instead until it has to wait.
    Encoding {
        /// Index of the picture among those that need encoding.
        image: usize,
        /// Pictures that need encoding.
        n_images: usize,
        /// Layers done.
        layer: usize,
        /// Layers in all.
        n_layers: usize,
    },
    /// Tokens of the prompt read.
    Reading {
        /// Tokens done, those known from before included.
        done: usize,
        /// Tokens in all.
        total: usize,
    },
    /// Weights go to the memory of other devices.
    Placing {
        /// Bytes that are there.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Something worth telling, a sentence: that a device is gone or has too little memory, and what
    /// was done about it.
    Note(&'a str),
    /// The next piece of the answer, valid UTF-8, never empty.
    Text(&'a str),
}

/// What reading a prompt took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Tokens of the prompt.
    pub n_tokens: usize,
    /// Tokens at its beginning that were known from before and not computed again.
    pub n_reused: usize,
    /// Pictures of the prompt.
    pub n_images: usize,
    /// Pictures that went through the vision tower now.
    pub n_encoded: usize,
    /// Time in the vision tower. The decoder may have read meanwhile, if another device
    /// computes it.
    pub encode_time: Duration,
    /// Time in the decoder.
    pub prefill_time: Duration,
}

pub(super) type Embeddings = HashMap<ImageId, Arc<ImageEmbedding>>;

impl Session {
    /// Makes the conversation be exactly `prompt`, computing only what differs from what it was.
    /// Afterwards [`logits`](Session::logits) holds what follows the prompt.
    ///
    /// Errors with `ContextFull`, before anything is computed, if the prompt is longer than the
    /// context; with `Cancelled` if the [flag](Session::cancel_flag) was set or `events` answered
    /// `Break`. What was read until then stays and is not computed again by the next call. If a
    /// device is lost, the model is placed on those that are left and the prompt is read from its
    /// beginning.
    pub fn read(
        &mut self,
        prompt: &Prompt,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Reading> {
        self.cancellable(|session| session.read_prompt(prompt, events))
    }

    /// [`read`](Self::read) as the beginning of a longer call: a cancel stays for the rest of it.
    pub(super) fn read_prompt(
        &mut self,
        prompt: &Prompt,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Reading> {
        self.cancel.check()?;
        loop {
            self.recover(events)?;
            match self.read_once(prompt, events) {
                Err(e) if e.kind() == ErrorKind::DeviceLost && self.decoder.is_lost() => {}
                result => return result,
            }
        }
    }

    fn read_once(
        &mut self,
        prompt: &Prompt,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Reading> {
        let (wanted, image_ids) = slots(prompt, &self.model.config().vision)?;
        self.check_length(wanted.len())?;
        // The last token is always computed, since its logits are wanted.
        let n_reused = common_prefix(&self.history, &wanted).min(wanted.len() - 1);
        let mut reading = Reading {
            n_tokens: wanted.len(),
            n_reused,
            n_images: prompt.images.len(),
            ..Reading::default()
        };
        let mut pictures = Vec::new();
        for id in needed_images(&wanted[n_reused..]) {
            let at = image_ids.iter().position(|&known| known == id);
            let picture = at.and_then(|at| prompt.images.get(at)).ok_or_else(|| {
                Error::new(ErrorKind::Internal, "a needed picture is not in the prompt")
            })?;
            pictures.push((id, &**picture));
        }
        let (known, missing) = self.recall(&pictures);
        let encoded = self.encode_beside(known, &missing, |session, incoming| {
            reading.prefill_time =
                session.read_slots(&prompt.ids, &wanted, n_reused, incoming, events)?;
            reading.encode_time = incoming.time;
            Ok(mem::take(&mut incoming.encoded))
        })?;
        reading.n_encoded = encoded.len();
        self.learn(&reading, &encoded);
        Ok(reading)
    }

    /// Makes the conversation be `wanted`, of which it holds the first `n_known` slots. Returns the
    /// time in the decoder.
    ///
    /// Computes a batch as soon as its pictures are there, and none that is smaller than it could be.
    fn read_slots(
        &mut self,
        ids: &[TokenId],
        wanted: &[Slot],
        n_known: usize,
        incoming: &mut Incoming,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Duration> {
        let total = wanted.len();
        let mut time = Duration::ZERO;
        let mut done = n_known;
        while done < total {
            let end = total.min(done + self.options.n_ubatch);
            self.take_news(incoming, events)?;
            while incoming.is_open
                && (!incoming.is_apart || lacks_any(&wanted[done..end], &incoming.embeddings))
            {
                self.await_news(incoming, events)?;
            }
            self.tell(events, Event::Reading { done, total })?;
            let began = Instant::now();
            if done == n_known {
                self.forget_from(n_known);
            }
            self.append(ids, wanted, done..end, &incoming.embeddings)?;
            time += began.elapsed();
            done = end;
        }
        self.await_all(incoming, events)?;
        self.tell(events, Event::Reading { done, total })?;
        Ok(time)
    }

    /// Waits until all pictures are encoded.
    fn await_all(
        &mut self,
        incoming: &mut Incoming,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<()> {
        while incoming.is_open {
            self.await_news(incoming, events)?;
        }
        Ok(())
    }

    /// Reports `event`; `Break` becomes an error of kind `Cancelled`.
    pub(super) fn tell(
        &self,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
        event: Event,
    ) -> Result<()> {
        if events(event).is_break() {
            self.cancel.cancel();
        }
        self.cancel.check()
    }

    fn check_length(&self, n_tokens: usize) -> Result<()> {
        check_ubatch(self.options.n_ubatch)?;
        check_length(
            n_tokens,
            self.n_ctx(),
            self.model.config().text.context_length,
        )
    }

    /// What the decoder sees of `image`, computed unless it is known.
    ///
    /// Errors with `Cancelled` if the flag was set or `events` answered `Break`.
    pub fn embed(
        &mut self,
        image: &PreparedImage,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Arc<ImageEmbedding>> {
        self.cancellable(|session| {
            session.cancel.check()?;
            let id = image_id(image);
            let (known, missing) = session.recall(&[(id, image)]);
            session.encode_beside(known, &missing, |session, incoming| {
                session.await_all(incoming, events)?;
                incoming.embeddings.remove(&id).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Internal,
                        "a picture has no embedding after encoding",
                    )
                })
            })
        })
    }

    /// The embeddings that are known of `pictures`, and the pictures that they are not known of.
    fn recall<'a>(&mut self, pictures: &[Picture<'a>]) -> (Embeddings, Vec<Picture<'a>>) {
        let mut known = Embeddings::new();
        let mut missing = Vec::new();
        for &(id, picture) in pictures {
            match self.images.get(id, picture.grid) {
                Some(embedding) => _ = known.insert(id, embedding),
                None => missing.push((id, picture)),
            }
        }
        (known, missing)
    }

    /// Computes `wanted[range]` as one batch; logits only if the range ends the prompt.
    fn append(
        &mut self,
        ids: &[TokenId],
        wanted: &[Slot],
        range: Range<usize>,
        embeddings: &Embeddings,
    ) -> Result<()> {
        let dim = self.model.config().text.embedding_length as usize;
        let image_rows = wanted[range.clone()]
            .iter()
            .enumerate()
            .filter_map(|(slot, what)| match what {
                Slot::Token(_) => None,
                Slot::Patch { image, row } => {
                    let start = *row as usize * dim;
                    let values = &embeddings[image].values[start..start + dim];
                    Some(ImageRow { slot, values })
                }
            })
            .collect::<Vec<_>>();
        let outputs = match range.end == wanted.len() {
            true => Outputs::Last,
            false => Outputs::None,
        };
        let run = Run {
            ids: &ids[range.clone()],
            image_rows: &image_rows,
        };
        self.decoder.append(&run, outputs, &mut self.logits)?;
        self.history.extend_from_slice(&wanted[range]);
        Ok(())
    }
}

/// Refuses batches of no tokens.
pub(super) fn check_ubatch(n_ubatch: usize) -> Result<()> {
    match n_ubatch {
        0 => Err(Error::new(
            ErrorKind::InvalidArgument,
            "the ubatch is 0, expected 1 or more",
        )),
        _ => Ok(()),
    }
}

/// Refuses a prompt of `n_tokens` tokens that is none or does not fit a context of `n_ctx`, in a model
/// that allows `longest`.
pub(super) fn check_length(n_tokens: usize, n_ctx: usize, longest: u32) -> Result<()> {
    if n_tokens == 0 {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "the prompt is empty",
        ));
    }
    if n_tokens > n_ctx {
        return Err(Error::new(
            ErrorKind::ContextFull,
            format!(
                "the prompt has {n_tokens} tokens but the context holds {n_ctx}: use a larger \
                 context (this model allows {longest}), smaller pictures or fewer turns"
            ),
        ));
    }
    Ok(())
}

/// Whether a picture that `slots` look at has no embedding yet.
fn lacks_any(slots: &[Slot], embeddings: &Embeddings) -> bool {
    slots
        .iter()
        .any(|slot| matches!(slot, Slot::Patch { image, .. } if !embeddings.contains_key(image)))
}

/// The pictures that `slots` look at, each once, in order.
fn needed_images(slots: &[Slot]) -> Vec<ImageId> {
    let mut needed = Vec::new();
    for slot in slots {
        if let Slot::Patch { image, .. } = slot
            && !needed.contains(image)
        {
            needed.push(*image);
        }
    }
    needed
}
