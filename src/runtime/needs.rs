//! What running a model takes beside its weights: keys and values, working memory. And the refusal
//! when there is no room for that.

use super::{Model, decoder::DecoderOptions, kv_cache::KvCache, memory::Available, paging};
use crate::{
    Error, ErrorKind, Result,
    ggml::Scheduler,
    model::{
        decoder::{DecoderGraph, Shape},
        vision::VisionGraph,
    },
};

/// What this process itself takes: code, tokenizer, threads' stacks, graphs.
const PROCESS: u64 = 96 << 20;

/// Bytes of memory that the system cannot take back while a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryNeeds {
    /// Keys and values of a full context.
    pub kv_cache: u64,
    /// Working memory of the decoder, at its largest batch and a full context.
    pub decoder: u64,
    /// Working memory of the vision tower on the largest picture.
    pub vision: u64,
    /// What the caller wants left for itself.
    pub reserve: u64,
}

impl MemoryNeeds {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.kv_cache + self.decoder + self.vision + self.reserve
    }

    /// Measures what a decoder set up by `options` needs; nothing is computed.
    pub(super) fn measure(
        model: &Model,
        options: &DecoderOptions,
        scheduler: &Scheduler,
        cache: &KvCache,
    ) -> Result<Self> {
        let config = model.config();
        let n_tokens = options.n_ubatch.clamp(1, options.n_ctx);
        let weights = model.weights();
        let mut decoder = 0;
        // Text, both, pictures: which takes the most depends on how memory happens to be reused.
        for n_image_rows in [0, n_tokens / 2, n_tokens] {
            let shape = Shape {
                n_tokens,
                n_image_rows,
                n_kv: options.n_ctx,
                n_outputs: 1,
                keep_taps: false,
            };
            let graph = DecoderGraph::build(&config.text, &weights.decoder, cache.layers(), shape)?;
            decoder = scheduler.measure(&graph.graph)?.max(decoder);
        }
        let side = (config.vision.image_size / config.vision.patch_size).max(1) as usize;
        let vision = VisionGraph::build(&config.vision, &weights.vision, side * side, false)?;
        Ok(Self {
            kv_cache: Self::kv_cache(model, options),
            decoder,
            vision: scheduler.measure(&vision.graph)?,
            reserve: options.reserve_bytes,
        })
    }

    /// What is known before anything is allocated.
    pub(super) fn kv_cache(model: &Model, options: &DecoderOptions) -> u64 {
        options.n_ctx as u64 * options.kv_type.bytes_per_token(&model.config().text)
    }

    /// Bytes that `available` leaves for weights; `None` if it is not known.
    ///
    /// Errors with `OutOfMemory` if they are too few to run at all.
    pub(super) fn left_for_weights(
        &self,
        model: &Model,
        options: &DecoderOptions,
        available: Option<Available>,
    ) -> Result<Option<u64>> {
        let Some(available) = available else {
            return Ok(None);
        };
        let least = match model.file().is_mapped() {
            true => paging::least_bytes(&model.parts()),
            false => 0,
        };
        let taken = self.total() + PROCESS;
        if available.bytes < taken + least {
            return Err(self.refusal(options, least, available));
        }
        Ok(Some(available.bytes - taken))
    }

    fn refusal(&self, options: &DecoderOptions, least: u64, available: Available) -> Error {
        let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
        Error::new(
            ErrorKind::OutOfMemory,
            format!(
                "a context of {} tokens needs {} of memory for {} keys and values, {} for computing \
                 and {} for weights in use, but only {} are free ({}): use a smaller context \
                 (--ctx), smaller keys and values (--kv-type q8_0) or smaller batches (--ubatch)",
                options.n_ctx,
                mib(self.kv_cache),
                options.kv_type,
                mib(self.decoder + self.vision + self.reserve + PROCESS),
                mib(least),
                mib(available.bytes),
                available.bound
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ggml::CancelFlag,
        runtime::{Decoder, KvType, memory::Bound, testing},
    };

    fn options(n_ctx: usize) -> DecoderOptions {
        DecoderOptions {
            n_ctx,
            n_ubatch: 32,
            kv_type: KvType::F16,
            n_threads: 1,
            reserve_bytes: 1 << 20,
        }
    }

    fn of(bytes: u64) -> Option<Available> {
        Some(Available {
            bytes,
            bound: Bound::ControlGroup,
        })
    }

    #[test]
    fn a_longer_context_and_larger_batches_need_more() {
        let model = testing::model();
        assert!(Decoder::memory_needs(&model, &options(0)).is_err());
        let small = Decoder::memory_needs(&model, &options(64)).unwrap();
        assert_eq!(
            small.kv_cache,
            64 * KvType::F16.bytes_per_token(&model.config().text)
        );
        assert!(small.decoder > 0 && small.vision > 0, "{small:?}");
        let long = Decoder::memory_needs(&model, &options(128)).unwrap();
        assert_eq!(long.kv_cache, 2 * small.kv_cache);
        let batches = DecoderOptions {
            n_ubatch: 64,
            ..options(64)
        };
        let batches = Decoder::memory_needs(&model, &batches).unwrap();
        assert!(batches.decoder > small.decoder, "{batches:?}");
    }

    #[test]
    fn what_a_decoder_takes_is_what_was_said() {
        let model = testing::model();
        let options = options(64);
        let needs = Decoder::memory_needs(&model, &options).unwrap();
        let mut decoder = Decoder::new(model, &options, CancelFlag::default()).unwrap();
        testing::run(&mut decoder, 32);
        let taken = decoder.working_bytes() as u64;
        assert!(taken > 0 && taken <= needs.decoder, "{taken} of {needs:?}");
    }

    #[test]
    fn too_little_memory_is_refused_and_the_way_out_named() {
        let model = testing::model();
        let options = options(64);
        let needs = Decoder::memory_needs(&model, &options).unwrap();
        let enough = needs.total() + PROCESS + paging::least_bytes(&model.parts());
        let left = |bytes| needs.left_for_weights(&model, &options, bytes);
        assert_eq!(left(None).unwrap(), None);
        assert!(left(of(enough)).unwrap().is_some());
        let e = left(of(enough - 1)).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::OutOfMemory);
        for part in [
            "64 tokens",
            "f16",
            "--ctx",
            "--kv-type q8_0",
            "control group",
        ] {
            assert!(e.message().contains(part), "{part:?} is not in {e}");
        }
    }
}
