//! One step of a batch: what the sequences compute, and a part of a picture.

use super::{
    AnswerId, Batch, BatchEvent, Place,
    encoding::{Encoding, News},
    schedule::{Work, works},
    task::Task,
};
use crate::{
    Error, ErrorKind, Result,
    runtime::{Outputs, Part},
    session::history::ImageId,
};
use std::{sync::Arc, time::Instant};

impl Batch {
    /// Computes one batch: the next tokens of every answer that is being generated and pieces of the
    /// prompts that are being read, as long as [`step_time`](super::BatchOptions::step_time) allows, and
    /// a part of what pictures need in the vision tower. `events` is told of every answer that got on.
    ///
    /// Errors of kind `Cancelled` or `Backend` leave all answers as they were. If a device is lost,
    /// the model is placed on those that are left, and what was read is read again.
    pub fn step(&mut self, events: &mut dyn FnMut(AnswerId, BatchEvent)) -> Result<()> {
        loop {
            self.recover()?;
            match self.step_once(events) {
                Err(e) if e.kind() == ErrorKind::DeviceLost && self.decoder.is_lost() => {}
                result => return result,
            }
        }
    }

    fn step_once(&mut self, events: &mut dyn FnMut(AnswerId, BatchEvent)) -> Result<()> {
        self.share()?;
        self.supply()?;
        let generates = self.decode(events)?;
        self.encode(generates, events);
        Ok(())
    }

    /// Gives tasks the embeddings that they need next, as far as these are known, and has the first
    /// one encoded that is not.
    fn supply(&mut self) -> Result<()> {
        let mut missing = Vec::new();
        for place in &mut self.places {
            let len = place.history.len();
            let Some((id, task)) = &mut place.running else {
                continue;
            };
            if let Some((image, picture)) = task.missing(len) {
                match self.images.get(image, picture.grid) {
                    Some(embedding) => task.give(image, &embedding),
                    None => missing.push((*id, image, picture)),
                }
            }
        }
        let awaited = |encoding: &Encoding| missing.iter().any(|m| m.1 == encoding.image);
        if self.encoding.as_ref().is_some_and(awaited) {
            return Ok(());
        }
        self.encoding = None;
        missing.sort_by_key(|(id, ..)| *id);
        if let Some((_, image, picture)) = missing.into_iter().next() {
            let placed = self.decoder.placed_model().clone();
            let n_threads = self.decoder_options.n_threads;
            self.encoding = Some(Encoding::begin(placed, n_threads, image, picture)?);
        }
        Ok(())
    }

    /// Computes what the sequences need next. Whether answers are being generated.
    fn decode(&mut self, events: &mut dyn FnMut(AnswerId, BatchEvent)) -> Result<bool> {
        let began = Instant::now();
        let encodes = self.encoding.is_some();
        let n_ubatch = self.decoder_options.n_ubatch;
        let works = works(&self.places, &self.pace, encodes, n_ubatch);
        let generates = works.iter().any(|work| !work.reads);
        if works.is_empty() {
            return Ok(false);
        }
        let parts: Vec<Part> = works.iter().map(Work::part).collect();
        self.decoder.append_all(&parts, &mut self.logits)?;
        let read = works.iter().filter(|work| work.reads);
        let n_read = read.map(|work| work.next.ids.len()).sum();
        let done: Vec<(usize, usize, Outputs)> = works
            .iter()
            .map(|work| (work.sequence, work.next.ids.len(), work.next.outputs))
            .collect();
        drop(works);
        let logits = std::mem::take(&mut self.logits);
        let n_vocab = self.model.config().text.vocab_size as usize;
        let mut rows = logits.chunks_exact(n_vocab);
        for (sequence, n, outputs) in done {
            let row = match outputs {
                Outputs::None => None,
                _ => rows.next(),
            };
            self.got_on(sequence, n, row, events);
        }
        self.logits = logits;
        let seconds = began.elapsed().as_secs_f64();
        self.pace.took(generates, n_read, seconds);
        Ok(generates)
    }

    /// Takes note that `n` more tokens of a sequence were computed, after the last of which `row`
    /// follows.
    fn got_on(
        &mut self,
        sequence: usize,
        n: usize,
        row: Option<&[f32]>,
        events: &mut dyn FnMut(AnswerId, BatchEvent),
    ) {
        let n_ctx = self.n_ctx();
        let place = &mut self.places[sequence];
        let Some((id, mut task)) = place.running.take() else {
            return;
        };
        let len = place.history.len();
        if task.is_reading(len) {
            let total = task.wanted().len();
            let done = len + n;
            events(id, BatchEvent::Reading { done, total });
        }
        place.history.extend(task.slots(len, len + n));
        let Some(row) = row else {
            place.running = Some((id, task));
            return;
        };
        let mut text = String::new();
        let n_before = task.logprobs().len();
        let finish = task.go_on(row, n_ctx, &mut text);
        for chosen in &task.logprobs()[n_before..] {
            events(id, BatchEvent::Chosen(chosen));
        }
        if !text.is_empty() {
            events(id, BatchEvent::Text(&text));
        }
        match finish {
            Ok(None) => place.running = Some((id, task)),
            Ok(Some(finish)) => events(id, BatchEvent::Done(task.into_answer(finish))),
            Err(e) => events(id, BatchEvent::Failed(e)),
        }
    }

    /// Has the picture in the tower get on, beside answers that are being generated or not.
    fn encode(&mut self, generates: bool, events: &mut dyn FnMut(AnswerId, BatchEvent)) {
        let room = self.pace.room(generates) / 2.0;
        let Some(mut encoding) = self.encoding.take() else {
            return;
        };
        let image = encoding.image;
        let began = Instant::now();
        loop {
            let before = began.elapsed().as_secs_f64();
            match encoding.slice() {
                News::Slice(done, total) => {
                    for (id, _) in awaiting(&mut self.places, image) {
                        events(id, BatchEvent::Encoding { done, total });
                    }
                }
                News::Done(Ok(embedding)) => {
                    let embedding = Arc::new(embedding);
                    let mut time = Some(encoding.time);
                    for (_, task) in awaiting(&mut self.places, image) {
                        // What it took is told once, of the answer that came first.
                        if let Some(time) = time.take() {
                            task.encoded(time);
                        }
                        task.give(image, &embedding);
                    }
                    self.images.insert(image, embedding);
                    drop(encoding);
                    self.decoder.regain_memory();
                    return;
                }
                News::Done(Err(e)) => {
                    let ids = awaiting(&mut self.places, image).into_iter();
                    let ids: Vec<AnswerId> = ids.map(|(id, _)| id).collect();
                    for id in ids {
                        self.cancel(id);
                        let e = Error::new(e.kind(), e.message());
                        events(id, BatchEvent::Failed(e));
                    }
                    return;
                }
            }
            // The next slice takes about as long as the last.
            let now = began.elapsed().as_secs_f64();
            if now + (now - before) > room {
                break;
            }
        }
        self.encoding = Some(encoding);
    }
}

/// The answers whose prompts have the picture `image` yet to be read, the oldest first.
fn awaiting(places: &mut [Place], image: ImageId) -> Vec<(AnswerId, &mut Task)> {
    let mut found: Vec<_> = places
        .iter_mut()
        .filter_map(|place| {
            let len = place.history.len();
            let (id, task) = place.running.as_mut()?;
            task.awaits(image, len).then_some((*id, task))
        })
        .collect();
    found.sort_by_key(|(id, _)| *id);
    found
}
