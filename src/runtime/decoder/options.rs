//! How a decoder is set up.

use crate::{
    Error, ErrorKind, Result,
    model::decoder::Span,
    runtime::{KvType, Model},
};

/// Most sequences of one decoder: a graph of more would take longer to build than to compute.
const MAX_SEQUENCES: usize = 256;

/// How a [`Decoder`](super::Decoder) is set up.
#[derive(Clone, Copy, Debug)]
pub struct DecoderOptions {
    /// Longest sequence in tokens.
    pub n_ctx: usize,
    /// Most tokens of a run, for which working memory is reckoned with.
    pub n_ubatch: usize,
    /// Storage type of keys and values.
    pub kv_type: KvType,
    /// Threads to compute with.
    pub n_threads: usize,
    /// Bytes of memory that the caller will need for itself.
    pub reserve_bytes: u64,
    /// Sequences side by side, each of at most `n_ctx` tokens.
    pub n_sequences: usize,
}

impl DecoderOptions {
    /// Refuses options that make no sense for `model`.
    pub(in crate::runtime) fn check(&self, model: &Model) -> Result<()> {
        let text = &model.config().text;
        if !(1..=MAX_SEQUENCES).contains(&self.n_sequences) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{} sequences side by side were asked for, expected 1 to {MAX_SEQUENCES}",
                    self.n_sequences
                ),
            ));
        }
        if self.n_ctx == 0 || self.n_ctx > text.context_length as usize {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "a context of {} tokens was asked for, this model allows 1 to {}",
                    self.n_ctx, text.context_length
                ),
            ));
        }
        Ok(())
    }

    /// The spans of a batch of `n_tokens` tokens of as many sequences as there can be, all but the
    /// last of a single token, at full contexts.
    pub(in crate::runtime) fn full_spans(&self, n_tokens: usize) -> Vec<Span> {
        let last = self.n_sequences.min(n_tokens) - 1;
        let span = |sequence| Span {
            sequence,
            n_tokens: if sequence == last { n_tokens - last } else { 1 },
            n_kv: self.n_ctx,
        };
        (0..=last).map(span).collect()
    }

    /// Most tokens of a batch.
    pub(in crate::runtime) fn most_tokens(&self) -> usize {
        self.n_ubatch.clamp(1, self.n_ctx * self.n_sequences)
    }
}
