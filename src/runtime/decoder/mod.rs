//! Runs the decoder graph: appends tokens and image rows to one or several sequences, returns logits.
//!
//! Owns the sequences' caches, the graphs in use and the scheduler. It knows nothing of text or
//! sampling.

mod inputs;
mod options;
mod sequences;

pub(super) use inputs::write_inputs;
pub use options::DecoderOptions;

use super::{
    Model,
    kv_cache::KvCache,
    memory::Available,
    needs::MemoryNeeds,
    paging::Pager,
    placed::{PlacedGraphs, SMALL},
    placement::{PlacedModel, Plan},
};
use crate::{
    Result,
    config::Group,
    ggml::{Backend, CancelFlag, Device, Graph, Observer, Scheduler},
    model::decoder::{DecoderGraph, KvLayer, LAYER_PREFIX, Shape, Span, max_nodes},
    tokenizer::TokenId,
};
use half::f16;
use inputs::output_rows;
use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

/// Attention looks at whole steps of this many cells, so that the graph of a single token can be
/// used again for the next ones.
const KV_STEP: usize = 256;

/// The decoder of a model with the memory of its sequences, which know nothing of each other. Most
/// methods are about the first one, which is usually the only one.
pub struct Decoder {
    placed_model: Arc<PlacedModel>,
    scheduler: Scheduler,
    /// Of each sequence.
    caches: Vec<KvCache>,
    /// Graphs of recent runs, used again by runs of the same shape.
    placed: PlacedGraphs,
    mask: Vec<f16>,
    run_time: Duration,
    /// Whether this one only keeps the place of another.
    vacated: bool,
    needs: MemoryNeeds,
    /// Present if the weights do not fit into memory.
    pager: Option<Pager>,
}

/// What a batch appends to one sequence.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Index of the sequence.
    pub sequence: usize,
    /// What is appended.
    pub run: Run<'a>,
    /// Whose logits are wanted.
    pub outputs: Outputs,
}

/// Tokens to append, with the rows of those that stand for image patches.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Token ids, image tokens included.
    pub ids: &'a [TokenId],
    /// Image rows in ascending order of slot.
    pub image_rows: &'a [ImageRow<'a>],
}

/// The embedding of one patch and the place in [`Run::ids`] that it takes.
#[derive(Clone, Copy, Debug)]
pub struct ImageRow<'a> {
    /// Index into [`Run::ids`].
    pub slot: usize,
    /// `embedding_length` values.
    pub values: &'a [f32],
}

/// Of which tokens of a run logits are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// None: the run only fills the cache.
    None,
    /// The last token.
    Last,
    /// Every token.
    All,
}

impl Decoder {
    /// A decoder of empty sequences on the CPU.
    ///
    /// Errors with `OutOfMemory`, before anything is computed, if there is no room for the cache and
    /// for computing. If there is, but not for all weights as well, some of them are read from the
    /// file for each run.
    pub fn new(model: Arc<Model>, options: &DecoderOptions, cancel: CancelFlag) -> Result<Self> {
        options.check(&model)?;
        let on_cpu = PlacedModel::on_cpu(model, options, Vec::new())?;
        Self::of(on_cpu, options, cancel)
    }

    /// A decoder of empty sequences, whose caches are where the layers are.
    pub fn of(
        placed_model: Arc<PlacedModel>,
        options: &DecoderOptions,
        cancel: CancelFlag,
    ) -> Result<Self> {
        options.check(placed_model.model())?;
        let available = Available::now();
        MemoryNeeds::of_cache(&placed_model, options).left_for_weights(
            &placed_model,
            options,
            available,
        )?;
        let text = &placed_model.model().config().text;
        let plan = placed_model.plan();
        let groups = (0..text.block_count)
            .map(Group::Block)
            .chain([Group::Output]);
        let devices = placed_model.backends(groups, &cancel)?;
        // A decoder of several sequences works in turn with the vision tower.
        let cpu = match options.n_sequences {
            1 => Backend::cpu(options.n_threads, cancel)?,
            _ => Backend::cpu_sleeping(options.n_threads, cancel)?,
        };
        let homes = plan
            .layers
            .iter()
            .map(|&d| placed_model.device(d))
            .collect::<Result<Vec<_>>>()?;
        let caches = caches(&placed_model, options, |i| homes[i].clone())?;
        let max_nodes = max_nodes(text, options.n_sequences);
        let scheduler = Scheduler::with_devices(devices, cpu, max_nodes)?;
        let needs = MemoryNeeds::measure(&placed_model, options, &scheduler, &caches)?;
        let pager = needs
            .left_for_weights(&placed_model, options, available)?
            .filter(|_| plan.is_cpu_only())
            .and_then(|left| placed_model.model().pager(left));
        Ok(Self {
            needs,
            pager,
            scheduler,
            caches,
            placed: PlacedGraphs::default(),
            mask: Vec::new(),
            run_time: Duration::ZERO,
            vacated: false,
            placed_model,
        })
    }

    /// Allocates working memory for the largest runs on all devices, so that there is no later
    /// surprise.
    pub(super) fn reserve(&mut self, options: &DecoderOptions) -> Result<()> {
        let config = &self.placed_model.model().config().text;
        let weights = &self.placed_model.weights().decoder;
        let layers: Vec<&[KvLayer]> = self.caches.iter().map(KvCache::layers).collect();
        let shape = |n_tokens: usize, n_outputs: usize| Shape {
            spans: options.full_spans(n_tokens),
            n_image_rows: n_tokens / 2,
            n_outputs,
            keep_taps: false,
        };
        let most = options.most_tokens();
        let large = shape(most, options.n_sequences.min(most));
        let few = SMALL.min(options.n_ctx * options.n_sequences);
        self.placed
            .reserve(large, shape(few, few), &mut self.scheduler, |shape| {
                DecoderGraph::build(config, weights, &layers, shape)
            })
    }

    /// Whether a device that holds a part of the decoder is gone, or was and nothing has taken its
    /// place yet.
    pub fn is_lost(&self) -> bool {
        self.vacated || self.placed_model.lost().next().is_some()
    }

    /// Frees all that the decoder has on devices. It has to be replaced by another one then.
    pub fn vacate(&mut self, options: &DecoderOptions) -> Result<()> {
        let model = self.placed_model.model().clone();
        let cancel = self.scheduler.cpu().cancel_flag().clone();
        let least = DecoderOptions {
            n_ctx: 1,
            n_ubatch: 1,
            n_sequences: 1,
            ..*options
        };
        *self = Self {
            vacated: true,
            ..Self::new(model, &least, cancel)?
        };
        Ok(())
    }

    /// The model and where its parts are.
    pub fn placed_model(&self) -> &Arc<PlacedModel> {
        &self.placed_model
    }

    /// Where the parts of the model are.
    pub fn plan(&self) -> &Plan {
        self.placed_model.plan()
    }

    /// What a decoder of `model` set up by `options` would need beside the weights,
    /// on the CPU alone.
    pub fn memory_needs(model: &Arc<Model>, options: &DecoderOptions) -> Result<MemoryNeeds> {
        options.check(model)?;
        let on_cpu = PlacedModel::on_cpu(model.clone(), options, Vec::new())?;
        let text = &model.config().text;
        let cpu = Backend::cpu(options.n_threads, CancelFlag::default())?;
        let home = cpu.device().clone();
        let caches = caches(&on_cpu, options, |_| home.clone())?;
        let scheduler = Scheduler::new(cpu, max_nodes(text, options.n_sequences))?;
        MemoryNeeds::measure(&on_cpu, options, &scheduler, &caches)
    }

    /// What this decoder needs of this machine's memory beside the weights.
    pub fn needs(&self) -> MemoryNeeds {
        self.needs
    }

    /// How many of the parts of the weights are read from the file for each run, since they do not
    /// fit into memory, and how many parts there are; `None` if all fit.
    pub fn streamed_parts(&self) -> Option<(usize, usize)> {
        self.pager.as_ref().map(Pager::streamed)
    }

    /// Says that pictures were encoded: if memory is short, the tower's weights leave it, and what
    /// they have displaced is loaded again.
    pub fn regain_memory(&self) {
        if let Some(pager) = &self.pager {
            self.placed_model.model().release_vision();
            pager.refresh();
        }
    }

    /// Tokens in the cache.
    pub fn len(&self) -> usize {
        self.caches[0].len()
    }

    /// Whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Longest sequence in tokens.
    pub fn n_ctx(&self) -> usize {
        self.caches[0].n_ctx()
    }

    /// Forgets all tokens from position `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.caches[0].truncate(len);
    }

    /// Passes the keys and values of all tokens to `sink`, piece by piece, as they are stored:
    /// layer by layer the keys of all tokens, then their values.
    pub fn export_cache(&self, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.caches[0].export(sink)
    }

    /// Makes the sequence be `n_tokens` tokens whose keys and values are `bytes`, as
    /// [`export_cache`](Self::export_cache) of a decoder of the same model and cache type gave
    /// them.
    pub fn import_cache(&mut self, n_tokens: usize, bytes: &[u8]) -> Result<()> {
        self.caches[0].import(n_tokens, bytes)
    }

    /// Bytes of working memory in use, the cache not counted.
    pub fn working_bytes(&self) -> usize {
        self.scheduler.working_bytes()
    }

    /// What the last run took, the making of its graph not included: what the next run of the
    /// same length will take.
    pub fn run_time(&self) -> Duration {
        self.run_time
    }

    /// Appends `run` and puts the wanted rows of logits, `vocab_size` values each, into `logits`.
    ///
    /// All of the run is computed as one batch. Errors with `ContextFull` if it does not fit, and
    /// with `Cancelled` if the cancel flag was set meanwhile; the sequence is then as before.
    pub fn append(&mut self, run: &Run, outputs: Outputs, logits: &mut Vec<f32>) -> Result<()> {
        let part = Part {
            sequence: 0,
            run: *run,
            outputs,
        };
        self.append_all(&[part], logits)
    }

    /// Appends several `parts`, each to a sequence of its own, as one batch: weights are read once
    /// for all of them. The wanted rows of logits come part by part. Results are those of appending
    /// them one by one, but for rounding. Long parts are best last: what attention gives for the parts
    /// is put together one after the other.
    ///
    /// Errors as [`append`](Self::append) does, and with `InvalidArgument` if a sequence does not
    /// exist or occurs twice; all sequences are then as before.
    pub fn append_all(&mut self, parts: &[Part], logits: &mut Vec<f32>) -> Result<()> {
        self.compute(parts, false, |scheduler, graph| {
            logits.clear();
            if let Some(tensor) = &graph.logits {
                logits.resize(tensor.n_elements(), 0.0);
                scheduler.read(&graph.graph, tensor, 0, logits)?;
            }
            Ok(())
        })
    }

    /// Appends `run` and returns every layer's output by name (`txt.0`, …), one row a token: for
    /// comparing with a reference.
    pub fn trace(&mut self, run: &Run) -> Result<Vec<(String, Vec<f32>)>> {
        let part = Part {
            sequence: 0,
            run: *run,
            outputs: Outputs::All,
        };
        self.compute(&[part], true, |scheduler, graph| {
            graph
                .taps
                .iter()
                .map(|tap| {
                    let mut values = vec![0.0; tap.n_elements()];
                    scheduler.read(&graph.graph, tap, 0, &mut values)?;
                    Ok((tap.name(), values))
                })
                .collect()
        })
    }

    /// Appends `parts` and returns what `read` makes of the results.
    fn compute<T>(
        &mut self,
        parts: &[Part],
        keep_taps: bool,
        read: impl FnOnce(&Scheduler, &DecoderGraph) -> Result<T>,
    ) -> Result<T> {
        self.check(parts)?;
        let mut spans = Vec::with_capacity(parts.len());
        let mut starts = Vec::with_capacity(parts.len());
        for part in parts {
            let cache = &mut self.caches[part.sequence];
            let n_tokens = part.run.ids.len();
            let end = cache.len() + n_tokens;
            let n_kv = end.next_multiple_of(KV_STEP).min(cache.n_ctx());
            cache.make_readable(n_kv)?;
            starts.push(cache.len());
            spans.push(Span {
                sequence: part.sequence,
                n_tokens,
                n_kv,
            });
        }
        let shape = Shape {
            spans,
            n_image_rows: parts.iter().map(|part| part.run.image_rows.len()).sum(),
            n_outputs: output_rows(parts).len(),
            keep_taps,
        };
        let config = &self.placed_model.model().config().text;
        let weights = &self.placed_model.weights().decoder;
        let layers: Vec<&[KvLayer]> = self.caches.iter().map(KvCache::layers).collect();
        let graph = self.placed.get(shape, &mut self.scheduler, |shape| {
            DecoderGraph::build(config, weights, &layers, shape)
        })?;
        let began = Instant::now();
        let s = &mut self.scheduler;
        write_inputs(s, graph, config, parts, &starts, &mut self.mask)?;
        run_paged(s, &graph.graph, self.pager.as_ref())?;
        let results = read(s, graph)?;
        self.run_time = began.elapsed();
        for part in parts {
            self.caches[part.sequence].advance(part.run.ids.len());
        }
        Ok(results)
    }
}

/// The empty caches of all sequences; `home` gives the device of each layer.
fn caches(
    placed: &PlacedModel,
    options: &DecoderOptions,
    home: impl Fn(usize) -> Device,
) -> Result<Vec<KvCache>> {
    let text = &placed.model().config().text;
    let cache = |_| KvCache::new(text, options.kv_type, options.n_ctx, &home);
    (0..options.n_sequences).map(cache).collect()
}

/// Runs `graph`; `pager`, if there is one, follows from layer to layer.
fn run_paged(scheduler: &mut Scheduler, graph: &Graph, pager: Option<&Pager>) -> Result<()> {
    let Some(pager) = pager else {
        return scheduler.run(graph, None);
    };
    pager.begin();
    let mut seen = |_: &str| {
        pager.pass();
        ControlFlow::Continue(())
    };
    let observer = Observer {
        prefix: LAYER_PREFIX,
        seen: &mut seen,
    };
    let result = scheduler.run(graph, Some(observer));
    // The output, which has no name, and whatever a shorter run did not use.
    pager.begin();
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{KvType, testing};

    #[test]
    fn weights_that_come_and_go_give_the_same_logits() {
        let model = testing::model();
        let options = DecoderOptions {
            n_ctx: 64,
            n_ubatch: 8,
            kv_type: KvType::F32,
            n_threads: 1,
            reserve_bytes: 0,
            n_sequences: 1,
        };
        let logits = |budget: Option<u64>| {
            let cancel = CancelFlag::default();
            let mut decoder = Decoder::new(model.clone(), &options, cancel).unwrap();
            decoder.pager = budget.and_then(|budget| model.pager(budget));
            assert_eq!(decoder.streamed_parts().is_some(), budget.is_some());
            [8, 1, 1, 8].map(|n| testing::run(&mut decoder, n))
        };
        assert_eq!(logits(Some(0)), logits(None));
    }
}
