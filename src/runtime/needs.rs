//! What running a model takes beside its weights: keys and values, working memory. And the refusal
//! when there is no room for that.

use super::{
    PlacedModel,
    decoder::DecoderOptions,
    kv_cache::{KvCache, n_cells},
    memory::Available,
    paging,
};
use crate::{
    Error, ErrorKind, Result,
    config::{Config, Group, Role, inventory},
    ggml::{Backend, Buffer, CancelFlag, Context, Device, Graph, Scheduler, Tensor, Type},
    model::{
        Weights,
        decoder::{self, DecoderGraph, KvLayer, Shape},
        vision::{self, VisionGraph},
    },
};
use std::collections::HashMap;

/// What this process itself takes: code, tokenizer, threads' stacks, graphs.
pub(super) const PROCESS: u64 = 96 << 20;

/// Bytes of this machine's memory that the system cannot take back while a model runs. What other
/// devices hold is not counted.
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
        placed: &PlacedModel,
        options: &DecoderOptions,
        scheduler: &Scheduler,
        caches: &[KvCache],
    ) -> Result<Self> {
        let n_kv = caches[0].n_visible(options.n_ctx);
        let layers: Vec<&[KvLayer]> = caches.iter().map(KvCache::layers).collect();
        let working = Working {
            config: placed.model().config(),
            weights: placed.weights(),
            scheduler,
        };
        Ok(Self {
            decoder: working.decoder(options, &layers, n_kv)?,
            vision: match placed.is_on_cpu(Group::Vision) {
                true => working.vision()?,
                false => 0,
            },
            reserve: options.reserve_bytes,
            ..Self::of_cache(placed, options)
        })
    }

    /// Measures what a decoder of any model of shape `config`, set up by `options`, needs on the CPU.
    /// There need be no such model: its graphs are built on weights without memory, and the sizes of
    /// what is computed do not depend on the weights' types.
    pub fn of_shape(config: &Config, options: &DecoderOptions) -> Result<Self> {
        let text = &config.text;
        options.kv_type.check(text)?;
        let cpu = Backend::cpu(1, CancelFlag::default())?;
        let weights = imagined_weights(config, cpu.device())?;
        let n_sequences = options.n_sequences;
        let cells = Context::new(2 * text.block_count as usize * n_sequences, 0)?;
        let caches: Vec<Vec<KvLayer>> = (0..n_sequences)
            .map(|_| {
                let layer = |_| options.kv_type.layer(&cells, text, options.n_ctx);
                (0..text.block_count).map(layer).collect()
            })
            .collect();
        let caches: Vec<&[KvLayer]> = caches.iter().map(Vec::as_slice).collect();
        Buffer::imagine_on(&cells, cpu.device())?;
        let n_nodes = decoder::max_nodes(text, n_sequences).max(vision::max_nodes(&config.vision));
        let working = Working {
            config,
            weights: &weights,
            scheduler: &Scheduler::new(cpu, n_nodes)?,
        };
        Ok(Self {
            kv_cache: (n_sequences * options.n_ctx) as u64 * options.kv_type.bytes_per_token(text),
            decoder: working.decoder(options, &caches, options.n_ctx)?,
            vision: working.vision()?,
            reserve: options.reserve_bytes,
        })
    }

    /// What is known before anything is allocated.
    pub(super) fn of_cache(placed: &PlacedModel, options: &DecoderOptions) -> Self {
        let text = &placed.model().config().text;
        let blocks = 0..text.block_count;
        let n_layers = blocks
            .filter(|&i| placed.is_on_cpu(Group::Block(i)))
            .count() as u64;
        let per_token = options.kv_type.bytes_per_token(text) / u64::from(text.block_count);
        let n_cells = n_cells(options.n_ctx, placed.plan().n_offloaded() > 0) as u64;
        Self {
            kv_cache: options.n_sequences as u64 * n_cells * per_token * n_layers,
            ..Self::default()
        }
    }

    /// Bytes that `available` leaves for weights; `None` if it is not known.
    ///
    /// Errors with `OutOfMemory` if they are too few to run at all.
    pub(super) fn left_for_weights(
        &self,
        placed: &PlacedModel,
        options: &DecoderOptions,
        available: Option<Available>,
    ) -> Result<Option<u64>> {
        let Some(available) = available else {
            return Ok(None);
        };
        let model = placed.model();
        let least = match model.file().is_mapped() {
            true => paging::least_bytes(&model.parts(|group| placed.is_on_cpu(group))),
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
        let DecoderOptions {
            n_ctx, n_sequences, ..
        } = *options;
        let (what, need, way_out) = match n_sequences {
            1 => (
                format!("a context of {n_ctx} tokens"),
                "needs",
                String::new(),
            ),
            n => (
                format!("{n} contexts of {n_ctx} tokens"),
                "need",
                format!("{}, ", self.fewer(n, least, available)),
            ),
        };
        Error::new(
            ErrorKind::OutOfMemory,
            format!(
                "{what} {need} {} of memory for {} keys and values, {} for computing and {} for \
                 weights in use, but only {} are free ({}): {way_out}use a smaller context \
                 (--ctx), smaller keys and values (--kv-type q8_0) or smaller batches (--ubatch)",
                mib(self.kv_cache),
                options.kv_type,
                mib(self.decoder + self.vision + self.reserve + PROCESS),
                mib(least),
                mib(available.bytes),
                available.bound
            ),
        )
    }

    /// How many of `n` contexts there would be room for.
    fn fewer(&self, n: usize, least: u64, available: Available) -> String {
        let others = self.total() - self.kv_cache + PROCESS + least;
        let one = (self.kv_cache / n as u64).max(1);
        match available.bytes.saturating_sub(others) / one {
            0 => "there is no room for one of them".to_owned(),
            fits => format!("there is room for {fits} of them"),
        }
    }
}

/// Measures the working memory of a model's graphs on the CPU.
struct Working<'a> {
    config: &'a Config,
    weights: &'a Weights,
    scheduler: &'a Scheduler,
}

impl Working<'_> {
    /// Of the largest runs of a decoder set up by `options`, at a full context.
    fn decoder(&self, options: &DecoderOptions, caches: &[&[KvLayer]], n_kv: usize) -> Result<u64> {
        let n_tokens = options.most_tokens();
        let mut most = 0;
        // Text, both, pictures: which takes the most depends on how memory happens to be reused.
        for n_image_rows in [0, n_tokens / 2, n_tokens] {
            let shape = Shape {
                spans: options.full_spans(n_tokens, n_kv),
                n_image_rows,
                n_outputs: options.n_sequences.min(n_tokens),
                keep_taps: false,
            };
            let graph =
                DecoderGraph::build(&self.config.text, &self.weights.decoder, caches, shape)?;
            most = self.on_cpu(&graph.graph)?.max(most);
        }
        Ok(most)
    }

    /// Of the vision tower, with the largest picture or as many as are encoded together.
    fn vision(&self) -> Result<u64> {
        let vision = &self.config.vision;
        let mut most = 0;
        for shape in vision::Shape::largest(vision) {
            let graph = VisionGraph::build(vision, &self.weights.vision, shape)?;
            most = self.on_cpu(&graph.graph)?.max(most);
        }
        Ok(most)
    }

    fn on_cpu(&self, graph: &Graph) -> Result<u64> {
        let sizes = self.scheduler.measure(graph)?;
        Ok(sizes.last().copied().unwrap_or_default())
    }
}

/// Weights of a model of shape `config` that look as if they were on `device`.
fn imagined_weights(config: &Config, device: &Device) -> Result<Weights> {
    let specs = inventory(config);
    let context = Context::new(specs.len(), 0)?;
    let tensors: HashMap<&str, Tensor> = specs
        .iter()
        .map(|spec| {
            let ty = match spec.role {
                Role::Norm | Role::Bias => Type::F32,
                _ => Type::F16,
            };
            let dims: Vec<usize> = spec.dims.iter().map(|&n| n as usize).collect();
            (spec.name.as_str(), context.tensor(ty, &dims))
        })
        .collect();
    Buffer::imagine_on(&context, device)?;
    Weights::collect(config, |name| Ok(tensors[name].clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ggml::CancelFlag,
        model::vision::MOST_TOGETHER,
        runtime::{Decoder, KvType, VisionEncoder, memory::Bound, testing},
    };

    fn options(n_ctx: usize) -> DecoderOptions {
        DecoderOptions {
            n_ctx,
            n_ubatch: 32,
            kv_type: KvType::F16,
            n_threads: 1,
            reserve_bytes: 1 << 20,
            n_sequences: 1,
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
    fn a_shape_alone_needs_what_its_models_need() {
        let model = testing::model();
        for (n_ctx, kv_type) in [(64, KvType::F16), (200, KvType::F32)] {
            let options = DecoderOptions {
                kv_type,
                ..options(n_ctx)
            };
            assert_eq!(
                MemoryNeeds::of_shape(model.config(), &options).unwrap(),
                Decoder::memory_needs(&model, &options).unwrap()
            );
        }
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
    fn what_the_tower_takes_is_what_was_said() {
        let model = testing::model();
        let vision = &model.config().vision;
        let needs = Decoder::memory_needs(&model, &options(64)).unwrap();
        let side = vision.image_size / vision.patch_size;
        let largest = testing::picture(vision, side, side);
        let most = MOST_TOGETHER / largest.grid.n_patches();
        for images in [vec![&largest], vec![&largest; most]] {
            let mut encoder = VisionEncoder::new(model.clone(), 1, CancelFlag::default()).unwrap();
            encoder.encode_together(&images, &mut |_, _| ()).unwrap();
            let taken = encoder.working_bytes() as u64;
            assert!(taken > 0 && taken <= needs.vision, "{taken} of {needs:?}");
        }
    }

    #[test]
    fn too_little_memory_is_refused_and_the_way_out_named() {
        let model = testing::model();
        let options = options(64);
        let needs = Decoder::memory_needs(&model, &options).unwrap();
        let enough = needs.total() + PROCESS + paging::least_bytes(&model.parts(|_| true));
        let placed = PlacedModel::on_cpu(model.clone(), &options, Vec::new()).unwrap();
        let left = |bytes| needs.left_for_weights(&placed, &options, bytes);
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

    #[test]
    fn several_contexts_need_several_caches_and_are_refused_with_how_many_would_fit() {
        let model = testing::model();
        let one = Decoder::memory_needs(&model, &options(64)).unwrap();
        let options = DecoderOptions {
            n_sequences: 5,
            ..options(64)
        };
        let needs = Decoder::memory_needs(&model, &options).unwrap();
        assert_eq!(needs.kv_cache, 5 * one.kv_cache);
        let least = paging::least_bytes(&model.parts(|_| true));
        let placed = PlacedModel::on_cpu(model.clone(), &options, Vec::new()).unwrap();
        let refused = |n_fit: u64| {
            let room = needs.total() - (5 - n_fit) * one.kv_cache + PROCESS + least;
            let left = needs.left_for_weights(&placed, &options, of(room));
            left.unwrap_err().message().to_owned()
        };
        for (n_fit, expected) in [(3, "room for 3 of them"), (0, "no room for one of them")] {
            let message = refused(n_fit);
            assert!(message.starts_with("5 contexts of 64 tokens"), "{message}");
            assert!(message.contains(expected), "{message}");
        }
    }
}
