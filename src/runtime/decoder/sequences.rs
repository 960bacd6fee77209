//! The sequences of a decoder beside the first, and what may be appended to them.

use super::{Decoder, Part};
use crate::{
    Error, ErrorKind, Result,
    runtime::{ImageRow, kv_cache::KvCache},
};

impl Decoder {
    /// Number of sequences.
    pub fn n_sequences(&self) -> usize {
        self.caches.len()
    }

    /// Tokens of the sequence with index `sequence`; none if there is no such sequence.
    pub fn len_of(&self, sequence: usize) -> usize {
        self.caches.get(sequence).map_or(0, KvCache::len)
    }

    /// Forgets all tokens of the sequence with index `sequence` from position `len` on.
    pub fn truncate_of(&mut self, sequence: usize, len: usize) {
        if let Some(cache) = self.caches.get_mut(sequence) {
            cache.truncate(len);
        }
    }

    /// Makes the sequence `to`, whose tokens are those that the sequence `from` begins with, go on
    /// with `from`'s up to `n` tokens in all, by copying their keys and values.
    ///
    /// Errors with `InvalidArgument` if there are no two such sequences or `from` is shorter.
    pub fn copy_tokens(&mut self, from: usize, to: usize, n: usize) -> Result<()> {
        let Ok([from, to]) = self.caches.get_disjoint_mut([from, to]) else {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("sequences {from} and {to} are not two of this decoder's"),
            ));
        };
        to.copy_from(from, n)
    }

    /// Refuses what cannot be appended as one batch.
    pub(super) fn check(&self, parts: &[Part]) -> Result<()> {
        if parts.is_empty() {
            return Err(nothing_to_compute());
        }
        for (i, part) in parts.iter().enumerate() {
            let what = if part.sequence >= self.caches.len() {
                "does not exist"
            } else if parts[..i].iter().any(|p| p.sequence == part.sequence) {
                "occurs twice in a batch"
            } else {
                self.check_part(part)?;
                continue;
            };
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("sequence {} {what}", part.sequence),
            ));
        }
        Ok(())
    }

    fn check_part(&self, part: &Part) -> Result<()> {
        let text = &self.placed_model.model().config().text;
        let (run, cache) = (&part.run, &self.caches[part.sequence]);
        let (used, n_ctx) = (cache.len(), cache.n_ctx());
        if run.ids.is_empty() {
            return Err(nothing_to_compute());
        }
        if used + run.ids.len() > n_ctx {
            return Err(Error::new(
                ErrorKind::ContextFull,
                format!(
                    "the context is full: {used} of {n_ctx} tokens are used and {} more are \
                     needed; start over or use a larger context (this model allows {})",
                    run.ids.len(),
                    text.context_length
                ),
            ));
        }
        if let Some(id) = run.ids.iter().find(|&&id| id >= text.vocab_size) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "token id {id} is outside the vocabulary of {}",
                    text.vocab_size
                ),
            ));
        }
        let dim = text.embedding_length as usize;
        let sound = |row: &ImageRow| row.slot < run.ids.len() && row.values.len() == dim;
        if !run.image_rows.iter().all(sound) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("an image row does not fit: expected {dim} values and a slot of the run"),
            ));
        }
        Ok(())
    }
}

fn nothing_to_compute() -> Error {
    Error::new(ErrorKind::InvalidArgument, "there is no token to compute")
}
