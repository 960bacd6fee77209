//! Runs the decoder graph: appends tokens and image rows to one sequence, returns logits.

use super::{
    Model,
    kv_cache::{KvCache, KvType},
    memory::Available,
    needs::MemoryNeeds,
    paging::Pager,
    placed::{PlacedGraphs, SMALL},
    placement::{PlacedModel, Plan},
};
use crate::{
    Error, ErrorKind, Result,
    config::{Group, TextConfig},
    ggml::{Backend, CancelFlag, Observer, Scheduler, Tensor},
    model::{
        decoder::{DecoderGraph, LAYER_PREFIX, Shape, max_nodes},
        text_periods,
    },
    tokenizer::TokenId,
};
use half::f16;
use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

/// How a [`Decoder`] is set up.
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
}

impl DecoderOptions {
    /// Refuses options that make no sense for `model`.
    pub(super) fn check(&self, model: &Model) -> Result<()> {
        let text = &model.config().text;
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
}

/// The decoder of a model with the memory of one sequence.
pub struct Decoder {
    placed_model: Arc<PlacedModel>,
    scheduler: Scheduler,
    cache: KvCache,
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
    /// A decoder with an empty cache on the CPU.
    ///
    /// Errors with `OutOfMemory`, before anything is computed, if there is no room for the cache and
    /// for computing. If there is, but not for all weights as well, some of them are read from the
    /// file for each run.
    pub fn new(model: Arc<Model>, options: &DecoderOptions, cancel: CancelFlag) -> Result<Self> {
        options.check(&model)?;
        let on_cpu = PlacedModel::on_cpu(model, options, Vec::new())?;
        Self::of(on_cpu, options, cancel)
    }

    /// A decoder with an empty cache, which is where the layers are.
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
        let cpu = Backend::cpu(plan.decoder_threads(options.n_threads), cancel)?;
        let homes = plan
            .layers
            .iter()
            .map(|&d| placed_model.device(d))
            .collect::<Result<Vec<_>>>()?;
        let cache = KvCache::new(text, options.kv_type, options.n_ctx, |i| homes[i].clone())?;
        let scheduler = Scheduler::with_devices(devices, cpu, max_nodes(text))?;
        let needs = MemoryNeeds::measure(&placed_model, options, &scheduler, &cache)?;
        let pager = needs
            .left_for_weights(&placed_model, options, available)?
            .filter(|_| plan.is_cpu_only())
            .and_then(|left| placed_model.model().pager(left));
        Ok(Self {
            needs,
            pager,
            scheduler,
            cache,
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
        let (layers, n_ctx) = (self.cache.layers(), self.cache.n_ctx());
        let shape = |n_tokens: usize, n_outputs: usize| Shape {
            n_tokens,
            n_image_rows: n_tokens / 2,
            n_kv: self.cache.n_visible(n_ctx),
            n_outputs,
            keep_taps: false,
        };
        let large = shape(options.n_ubatch.clamp(1, n_ctx), 1);
        let small = shape(SMALL.min(n_ctx), SMALL.min(n_ctx));
        self.placed
            .reserve(large, small, &mut self.scheduler, |shape| {
                DecoderGraph::build(config, weights, layers, shape)
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
        let cache = KvCache::new(text, options.kv_type, options.n_ctx, |_| home.clone())?;
        let scheduler = Scheduler::new(cpu, max_nodes(text))?;
        MemoryNeeds::measure(&on_cpu, options, &scheduler, &cache)
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
        self.cache.len()
    }

    /// Whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Longest sequence in tokens.
    pub fn n_ctx(&self) -> usize {
        self.cache.n_ctx()
    }

    /// Forgets all tokens from position `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.cache.truncate(len);
    }

    /// Passes the keys and values of all tokens to `sink`, piece by piece, as they are stored:
    /// layer by layer the keys of all tokens, then their values.
    pub fn export_cache(&self, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.cache.export(sink)
    }

    /// Makes the sequence be `n_tokens` tokens whose keys and values are `bytes`, as
    /// [`export_cache`](Self::export_cache) of a decoder of the same model and cache type gave
    /// them.
    pub fn import_cache(&mut self, n_tokens: usize, bytes: &[u8]) -> Result<()> {
        self.cache.import(n_tokens, bytes)
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
        self.compute(run, outputs, false, logits, |_, _| Ok(()))
    }

    /// Appends `run` and returns every layer's output by name (`txt.0`, …), one row a token: for
    /// comparing with a reference.
    pub fn trace(&mut self, run: &Run) -> Result<Vec<(String, Vec<f32>)>> {
        self.compute(
            run,
            Outputs::All,
            true,
            &mut Vec::new(),
            |scheduler, graph| {
                graph
                    .taps
                    .iter()
                    .map(|tap| {
                        let mut values = vec![0.0; tap.n_elements()];
                        scheduler.read(&graph.graph, tap, 0, &mut values)?;
                        Ok((tap.name(), values))
                    })
                    .collect()
            },
        )
    }

    /// Appends `run`, puts its logits into `logits` and returns what `read` makes of other results.
    fn compute<T>(
        &mut self,
        run: &Run,
        outputs: Outputs,
        keep_taps: bool,
        logits: &mut Vec<f32>,
        read: impl FnOnce(&Scheduler, &DecoderGraph) -> Result<T>,
    ) -> Result<T> {
        let n_tokens = run.ids.len();
        self.check(run)?;
        let start = self.cache.len();
        let n_kv = self.cache.n_visible(start + n_tokens);
        let shape = Shape {
            n_tokens,
            n_image_rows: run.image_rows.len(),
            n_kv,
            n_outputs: match outputs {
                Outputs::None => 0,
                Outputs::Last => 1,
                Outputs::All => n_tokens,
            },
            keep_taps,
        };
        self.cache.make_readable(n_kv)?;
        let config = &self.placed_model.model().config().text;
        let weights = &self.placed_model.weights().decoder;
        let layers = self.cache.layers();
        let graph = self.placed.get(shape, &mut self.scheduler, || {
            DecoderGraph::build(config, weights, layers, shape)
        })?;
        let began = Instant::now();
        let s = &mut self.scheduler;
        write_inputs(s, graph, config, run, start, &mut self.mask)?;
        logits.resize(graph.logits.as_ref().map_or(0, Tensor::n_elements), 0.0);
        run_paged(s, graph, self.pager.as_ref(), logits)?;
        let results = read(s, graph)?;
        self.run_time = began.elapsed();
        self.cache.advance(n_tokens);
        Ok(results)
    }

    fn check(&self, run: &Run) -> Result<()> {
        let text = &self.placed_model.model().config().text;
        let (used, n_ctx) = (self.cache.len(), self.cache.n_ctx());
        if run.ids.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "there is no token to compute",
            ));
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

/// Runs `graph`, whose logits go to `logits`.
fn run(
    scheduler: &mut Scheduler,
    graph: &DecoderGraph,
    observer: Option<Observer>,
    logits: &mut [f32],
) -> Result<()> {
    match &graph.logits {
        Some(tensor) => {
            scheduler.run_and_read(&graph.graph, observer, tensor, || logits)?;
            Ok(())
        }
        None => scheduler.run(&graph.graph, observer),
    }
}

/// The same; `pager`, if there is one, follows from layer to layer.
fn run_paged(
    scheduler: &mut Scheduler,
    graph: &DecoderGraph,
    pager: Option<&Pager>,
    logits: &mut [f32],
) -> Result<()> {
    let Some(pager) = pager else {
        return run(scheduler, graph, None, logits);
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
    let result = run(scheduler, graph, Some(observer), logits);
    // The output, which has no name, and whatever a shorter run did not use.
    pager.begin();
    result
}

/// Writes all inputs of `graph` for `run`, whose first token has position `start`; `mask` is room for
/// one of them.
pub(super) fn write_inputs(
    s: &mut Scheduler,
    graph: &DecoderGraph,
    config: &TextConfig,
    run: &Run,
    start: usize,
    mask: &mut Vec<f16>,
) -> Result<()> {
    causal_mask(mask, start, run.ids.len(), graph.shape.n_kv);
    s.write(&graph.graph, &graph.mask, mask)?;
    s.write(&graph.graph, &graph.periods, &text_periods(config))?;
    write_tokens(s, graph, run, start)
}

/// Writes the inputs of `graph` that say what `run`, whose first token has position `start`, is.
fn write_tokens(s: &mut Scheduler, graph: &DecoderGraph, run: &Run, start: usize) -> Result<()> {
    let end = start + run.ids.len();
    if let Some(input) = &graph.tokens {
        let ids: Vec<i32> = run.ids.iter().map(|&id| id as i32).collect();
        s.write(&graph.graph, input, &ids)?;
    }
    if let Some(input) = &graph.image_rows {
        for (i, row) in run.image_rows.iter().enumerate() {
            s.write_at(&graph.graph, input, i * row.values.len(), row.values)?;
        }
    }
    if let Some(input) = &graph.image_slots {
        let slots: Vec<i64> = run.image_rows.iter().map(|row| row.slot as i64).collect();
        s.write(&graph.graph, input, &slots)?;
    }
    if let Some(input) = &graph.output_rows {
        s.write(&graph.graph, input, &[run.ids.len() as i32 - 1])?;
    }
    let positions: Vec<i32> = (start..end).map(|p| p as i32).collect();
    let cells: Vec<i64> = (start..end).map(|p| p as i64).collect();
    s.write(&graph.graph, &graph.positions, &positions)?;
    s.write(&graph.graph, &graph.cells, &cells)
}

/// Fills `mask` with `n_tokens` rows of `n_kv` values: the token at position `start + i` sees the
/// cells up to its own.
fn causal_mask(mask: &mut Vec<f16>, start: usize, n_tokens: usize, n_kv: usize) {
    mask.clear();
    mask.resize(n_tokens * n_kv, f16::NEG_INFINITY);
    for (i, row) in mask.chunks_exact_mut(n_kv).enumerate() {
        row[..=start + i].fill(f16::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ggml::Context, runtime::testing};

    #[test]
    fn weights_that_come_and_go_give_the_same_logits() {
        let model = testing::model();
        let options = DecoderOptions {
            n_ctx: 64,
            n_ubatch: 8,
            kv_type: KvType::F32,
            n_threads: 1,
            reserve_bytes: 0,
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

    #[test]
    fn keys_are_written_to_the_cache_right_after_they_are_turned() {
        let model = testing::model();
        let text = &model.config().text;
        let context = Context::new(2 * text.block_count as usize, 0).unwrap();
        let kv: Vec<_> = (0..text.block_count)
            .map(|_| KvType::F16.layer(&context, text, 256))
            .collect();
        let shape = Shape {
            n_tokens: 1,
            n_image_rows: 0,
            n_kv: 256,
            n_outputs: 1,
            keep_taps: false,
        };
        let graph = DecoderGraph::build(text, &model.weights().decoder, &kv, shape).unwrap();
        let operations = graph.graph.operations();
        // What ggml's CUDA backend computes by one kernel.
        let fused = operations
            .windows(3)
            .filter(|three| *three == ["ROPE", "VIEW", "SET_ROWS"]);
        assert_eq!(fused.count(), text.block_count as usize, "{operations:?}");
    }

    #[test]
    fn a_token_sees_itself_and_everything_before_it() {
        let mut mask = Vec::new();
        causal_mask(&mut mask, 2, 2, 6);
        let seen: Vec<bool> = mask.iter().map(|&m| m == f16::ZERO).collect();
        let row = |n: usize| (0..6).map(move |c| c < n);
        assert_eq!(seen, row(3).chain(row(4)).collect::<Vec<_>>());
    }
}
