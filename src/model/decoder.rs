//! The decoder graph: a run of tokens and image rows in, logits of the wanted rows out.

use super::{
    Attention, DecoderWeights,
    blocks::{Taps, feed_forward, heads, precision, rms_norm},
};
use crate::{
    Result,
    config::TextConfig,
    ggml::{Context, Graph, Rope, Tensor, Type},
};

/// Prefix of the names of the layers' outputs: `txt.0`, `txt.1`, ….
pub const LAYER_PREFIX: &str = "txt.";

/// Fewest tokens for which weights on the CPU are copied to a device that computes with them: the
/// copy of a layer took as long as computing it for 160 tokens with 16 cores (docs/SPEED.md).
const WORTH_COPYING_WEIGHTS: usize = 160;

/// The sizes that decide a decoder graph's shape: two runs of equal sizes share one graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Tokens of the run, image rows included.
    pub n_tokens: usize,
    /// How many of them take their embedding from an image.
    pub n_image_rows: usize,
    /// Cells of the cache that attention looks at, masked or not.
    pub n_kv: usize,
    /// Rows whose logits are wanted: none, some, or all tokens.
    pub n_outputs: usize,
    /// Whether inner results stay readable.
    pub keep_taps: bool,
}

/// Keys and values of one layer: `[head_count_kv · head_dim, n_ctx]` each.
#[derive(Clone)]
pub struct KvLayer {
    /// Keys, turned by their positions.
    pub k: Tensor,
    /// Values.
    pub v: Tensor,
}

/// A decoder graph with its inputs and results. Sizes are those of its [`Shape`].
pub struct DecoderGraph {
    /// The graph, ready to be placed.
    pub graph: Graph,
    /// What the graph was built for.
    pub shape: Shape,
    /// i32 `[n_tokens]`: token ids (any valid id where an image row goes); absent if all rows
    /// come from images.
    pub tokens: Option<Tensor>,
    /// f32 `[D, n_image_rows]`: image embeddings; absent if there are none.
    pub image_rows: Option<Tensor>,
    /// i64 `[n_image_rows]`: which tokens they stand for; absent if none or all.
    pub image_slots: Option<Tensor>,
    /// i32 `[n_tokens]`: positions.
    pub positions: Tensor,
    /// i64 `[n_tokens]`: cache cells that the tokens' keys and values go to.
    pub cells: Tensor,
    /// f16 `[n_kv, n_tokens]`: 0 where a token sees a cell, −∞ where not.
    pub mask: Tensor,
    /// f32 `[head_dim / 2]`: [`text_periods`](super::text_periods).
    pub periods: Tensor,
    /// i32 `[n_outputs]`: tokens whose logits are wanted; absent if none or all.
    pub output_rows: Option<Tensor>,
    /// f32 `[vocab_size, n_outputs]`; absent if no output is wanted.
    pub logits: Option<Tensor>,
    /// Each layer's output `txt.0`, `txt.1`, …, if they were asked for: f32 `[D, n_tokens]`, the
    /// last one `[D, n_outputs]`.
    pub taps: Vec<Tensor>,
}

/// Upper bound of the nodes of a graph for `text`.
pub fn max_nodes(text: &TextConfig) -> usize {
    64 + 40 * text.block_count as usize
}

impl DecoderGraph {
    /// Builds the graph of `shape`, reading and writing the caches `kv`, one per layer.
    pub fn build(
        config: &TextConfig,
        weights: &DecoderWeights,
        kv: &[KvLayer],
        shape: Shape,
    ) -> Result<Self> {
        let mut graph = Graph::new(max_nodes(config))?;
        let ctx = graph.context();
        let inputs = Inputs::new(ctx, config, &shape);
        let mut taps = Taps::new(ctx, shape.keep_taps);
        let embedded = inputs.embed(ctx, &weights.token_embedding); // [D, n_tokens]
        let mut x = embedded.clone();
        let mut ends = Vec::new();
        let last = weights.layers.len() - 1;
        for (i, layer) in weights.layers.iter().enumerate() {
            let h = rms_norm(ctx, &x, &layer.attention_norm, config.norm_eps);
            let (k, v) = inputs.remember(ctx, config, &layer.attention, &kv[i], &h);
            if i == last && shape.n_outputs == 0 {
                // Nothing after the last layer's cache is wanted.
                ends.extend([k, v]);
                break;
            }
            let mut mixed = inputs.attend(ctx, config, &layer.attention, &h, &k, &v);
            if i == last
                && let Some(rows) = &inputs.output_rows
            {
                mixed = ctx.get_rows(&mixed, rows); // [q, n_outputs]
                x = ctx.get_rows(&x, rows); // [D, n_outputs]
            }
            x = ctx.add(&x, &ctx.mul_mat(&layer.attention.output, &mixed));
            let h = rms_norm(ctx, &x, &layer.ffn_norm, config.norm_eps);
            x = ctx.add(&x, &feed_forward(ctx, &layer.ffn, &h));
            taps.mark(&format!("{LAYER_PREFIX}{i}"), &x);
        }
        let logits = (shape.n_outputs > 0).then(|| {
            let h = rms_norm(ctx, &x, &weights.output_norm, config.norm_eps);
            let logits = ctx.mul_mat(&weights.output, &h); // [vocab_size, n_outputs]
            ctx.output(&logits);
            logits
        });
        ends.extend(logits.clone());
        let taps = taps.into_kept();
        graph.compute_on_cpu(&embedded);
        if shape.n_tokens < WORTH_COPYING_WEIGHTS {
            graph.compute_at_weights();
        }
        for end in &ends {
            graph.expand(end);
        }
        Ok(inputs.into_graph(graph, shape, logits, taps))
    }
}

/// The inputs, as fields of [`DecoderGraph`].
struct Inputs {
    tokens: Option<Tensor>,
    image_rows: Option<Tensor>,
    image_slots: Option<Tensor>,
    positions: Tensor,
    cells: Tensor,
    mask: Tensor,
    periods: Tensor,
    output_rows: Option<Tensor>,
}

impl Inputs {
    fn new(ctx: &Context, config: &TextConfig, shape: &Shape) -> Self {
        let &Shape {
            n_tokens,
            n_image_rows,
            n_kv,
            n_outputs,
            ..
        } = shape;
        let dim = config.embedding_length as usize;
        let some =
            |wanted: bool, name, ty, dims: &[usize]| wanted.then(|| ctx.input(name, ty, dims));
        let mixed = n_image_rows > 0 && n_image_rows < n_tokens;
        let picked = n_outputs > 0 && n_outputs < n_tokens;
        Self {
            tokens: some(n_image_rows < n_tokens, "tokens", Type::I32, &[n_tokens]),
            image_rows: some(
                n_image_rows > 0,
                "image_rows",
                Type::F32,
                &[dim, n_image_rows],
            ),
            image_slots: some(mixed, "image_slots", Type::I64, &[n_image_rows]),
            positions: ctx.input("positions", Type::I32, &[n_tokens]),
            cells: ctx.input("cells", Type::I64, &[n_tokens]),
            mask: ctx.input("mask", Type::F16, &[n_kv, n_tokens]),
            periods: ctx.input("periods", Type::F32, &[config.head_dim as usize / 2]),
            output_rows: some(picked, "output_rows", Type::I32, &[n_outputs]),
        }
    }

    /// Token embeddings with image rows put over their slots: `[D, n_tokens]`.
    fn embed(&self, ctx: &Context, table: &Tensor) -> Tensor {
        let text = self
            .tokens
            .as_ref()
            .map(|tokens| ctx.get_rows(table, tokens));
        match (text, &self.image_rows, &self.image_slots) {
            (Some(text), Some(rows), Some(slots)) => ctx.set_rows(&text, rows, slots),
            (Some(text), ..) => text,
            (None, Some(rows), _) => rows.clone(),
            (None, None, _) => unreachable!("a run has tokens or image rows"),
        }
    }

    /// Writes the keys and values of `h` `[D, n_tokens]` to the cache and returns the part of it
    /// that attention looks at, `[head_dim, n_kv, n_head_kv]` each.
    fn remember(
        &self,
        ctx: &Context,
        config: &TextConfig,
        attention: &Attention,
        cache: &KvLayer,
        h: &Tensor,
    ) -> (Tensor, Tensor) {
        let head_dim = config.head_dim as usize;
        let k = self.turn(ctx, &heads(ctx, &attention.k, h, head_dim)); // [head_dim, n_head_kv, n_tokens]
        let v = heads(ctx, &attention.v, h, head_dim);
        let (n_kv, n_head_kv) = (self.mask.dims()[0], config.head_count_kv as usize);
        let [k, v] = [(k, &cache.k), (v, &cache.v)].map(|(new, cache)| {
            let (n_tokens, row_bytes) = (new.dims()[2], new.strides()[2]);
            let row_strides = [row_bytes, n_tokens * row_bytes];
            // A view, not a reshape: turning keys and writing them is one kernel on GPUs then.
            let new = ctx.view_3d(&new, [n_head_kv * head_dim, n_tokens, 1], row_strides, 0);
            let cache = ctx.set_rows(cache, &new, &self.cells); // [kv, n_ctx]
            let head_bytes = cache.ty().row_bytes(head_dim);
            let cell_bytes = cache.strides()[1];
            ctx.view_3d(
                &cache,
                [head_dim, n_kv, n_head_kv],
                [cell_bytes, head_bytes],
                0,
            )
        });
        (k, v)
    }

    /// Causal attention of `h` `[D, n_tokens]` over the cache: `[q, n_tokens]`.
    fn attend(
        &self,
        ctx: &Context,
        config: &TextConfig,
        attention: &Attention,
        h: &Tensor,
        k: &Tensor,
        v: &Tensor,
    ) -> Tensor {
        let head_dim = config.head_dim as usize;
        let q = self.turn(ctx, &heads(ctx, &attention.q, h, head_dim));
        let q = ctx.swap_1_2(&q); // [head_dim, n_tokens, n_head]
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mask = Some(&self.mask);
        let mixed = ctx.flash_attention(&q, k, v, mask, scale, precision(attention)); // [head_dim, n_head, n_tokens]
        let [_, n_head, n_tokens, _] = mixed.dims();
        ctx.reshape(&mixed, [head_dim * n_head, n_tokens, 1])
    }

    fn turn(&self, ctx: &Context, x: &Tensor) -> Tensor {
        let rope = Rope {
            n_dims: x.dims()[0],
            offset: 0,
        };
        ctx.rope(x, &self.positions, &self.periods, rope)
    }

    fn into_graph(
        self,
        graph: Graph,
        shape: Shape,
        logits: Option<Tensor>,
        taps: Vec<Tensor>,
    ) -> DecoderGraph {
        DecoderGraph {
            graph,
            shape,
            tokens: self.tokens,
            image_rows: self.image_rows,
            image_slots: self.image_slots,
            positions: self.positions,
            cells: self.cells,
            mask: self.mask,
            periods: self.periods,
            output_rows: self.output_rows,
            logits,
            taps,
        }
    }
}
