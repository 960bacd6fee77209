//! The decoder graph: a batch of tokens and image rows of one or several sequences in, logits of the
//! wanted rows out.

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

/// The sizes that decide a decoder graph's shape: two batches of equal sizes share one graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The tokens of the batch, sequence by sequence; at least one.
    pub spans: Vec<Span>,
    /// How many of them take their embedding from an image.
    pub n_image_rows: usize,
    /// Rows whose logits are wanted: none, some, or all tokens.
    pub n_outputs: usize,
    /// Whether inner results stay readable.
    pub keep_taps: bool,
}

/// Tokens of a batch that follow one another in one sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index of the sequence's cache.
    pub sequence: usize,
    /// Tokens, image rows included.
    pub n_tokens: usize,
    /// Cells of the cache that attention looks at, masked or not.
    pub n_kv: usize,
}

impl Shape {
    /// Tokens of the batch, image rows included.
    pub fn n_tokens(&self) -> usize {
        self.spans.iter().map(|span| span.n_tokens).sum()
    }
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
    /// Inputs of each span.
    pub spans: Vec<SpanInputs>,
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

/// Inputs that belong to one [`Span`].
pub struct SpanInputs {
    /// i64 `[n_tokens]`: cells of the sequence's cache that the tokens' keys and values go to.
    pub cells: Tensor,
    /// f16 `[n_kv, n_tokens]`: 0 where a token sees a cell, −∞ where not.
    pub mask: Tensor,
}

/// Upper bound of the nodes of a graph for `text` and batches of at most `n_spans` spans.
pub fn max_nodes(text: &TextConfig, n_spans: usize) -> usize {
    64 + n_spans + (28 + 12 * n_spans) * text.block_count as usize
}

impl DecoderGraph {
    /// Builds the graph of `shape`, reading and writing the caches `kv`: of each sequence one per
    /// layer.
    pub fn build(
        config: &TextConfig,
        weights: &DecoderWeights,
        kv: &[&[KvLayer]],
        shape: Shape,
    ) -> Result<Self> {
        let mut graph = Graph::new(max_nodes(config, shape.spans.len()))?;
        let ctx = graph.context();
        let inputs = Inputs::new(ctx, config, &shape);
        let mut taps = Taps::new(ctx, shape.keep_taps);
        let embedded = inputs.embed(ctx, &weights.token_embedding); // [D, n_tokens]
        let mut x = embedded.clone();
        let mut ends = Vec::new();
        let last = weights.layers.len() - 1;
        for (i, layer) in weights.layers.iter().enumerate() {
            let h = rms_norm(ctx, &x, &layer.attention_norm, config.norm_eps);
            let caches: Vec<&KvLayer> = kv.iter().map(|layers| &layers[i]).collect();
            let seen = inputs.remember(ctx, config, &layer.attention, &caches, &h);
            if i == last && shape.n_outputs == 0 {
                // Nothing after the last layer's cache is wanted.
                ends.extend(seen.into_iter().flatten());
                break;
            }
            let mut mixed = inputs.attend(ctx, config, &layer.attention, &h, &seen);
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
    spans: Vec<(Span, SpanInputs)>,
    periods: Tensor,
    output_rows: Option<Tensor>,
}

impl Inputs {
    fn new(ctx: &Context, config: &TextConfig, shape: &Shape) -> Self {
        let &Shape {
            n_image_rows,
            n_outputs,
            ..
        } = shape;
        let n_tokens = shape.n_tokens();
        let dim = config.embedding_length as usize;
        let some =
            |wanted: bool, name, ty, dims: &[usize]| wanted.then(|| ctx.input(name, ty, dims));
        let mixed = n_image_rows > 0 && n_image_rows < n_tokens;
        let picked = n_outputs > 0 && n_outputs < n_tokens;
        let span_inputs = |&span: &Span| {
            let inputs = SpanInputs {
                cells: ctx.input("cells", Type::I64, &[span.n_tokens]),
                mask: ctx.input("mask", Type::F16, &[span.n_kv, span.n_tokens]),
            };
            (span, inputs)
        };
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
            spans: shape.spans.iter().map(span_inputs).collect(),
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

    /// Writes the keys and values of `h` `[D, n_tokens]` to the sequences' `caches` and returns, span
    /// by span, the part that attention looks at: keys and values, `[head_dim, n_kv, n_head_kv]` each.
    fn remember(
        &self,
        ctx: &Context,
        config: &TextConfig,
        attention: &Attention,
        caches: &[&KvLayer],
        h: &Tensor,
    ) -> Vec<[Tensor; 2]> {
        let head_dim = config.head_dim as usize;
        let k = self.turn(ctx, &heads(ctx, &attention.k, h, head_dim)); // [head_dim, n_head_kv, n_tokens]
        let v = heads(ctx, &attention.v, h, head_dim);
        let n_head_kv = config.head_count_kv as usize;
        let n_tokens = k.dims()[2];
        let [k, v] = [k, v].map(|new| ctx.reshape(&new, [n_head_kv * head_dim, n_tokens, 1]));
        let mut start = 0;
        let remember = |(span, inputs): &(Span, SpanInputs)| {
            let cache = caches[span.sequence];
            let seen = [(&k, &cache.k), (&v, &cache.v)].map(|(new, cache)| {
                let row_bytes = new.strides()[1];
                let new = match span.n_tokens == n_tokens {
                    true => new.clone(),
                    false => ctx.view_3d(
                        new,
                        [n_head_kv * head_dim, span.n_tokens, 1],
                        [row_bytes, row_bytes * span.n_tokens],
                        row_bytes * start,
                    ),
                };
                let cache = ctx.set_rows(cache, &new, &inputs.cells); // [kv, n_ctx]
                let head_bytes = cache.ty().row_bytes(head_dim);
                let cell_bytes = cache.strides()[1];
                ctx.view_3d(
                    &cache,
                    [head_dim, span.n_kv, n_head_kv],
                    [cell_bytes, head_bytes],
                    0,
                )
            });
            start += span.n_tokens;
            seen
        };
        self.spans.iter().map(remember).collect()
    }

    /// Causal attention of `h` `[D, n_tokens]`, each span over what it has `seen`: `[q, n_tokens]`.
    fn attend(
        &self,
        ctx: &Context,
        config: &TextConfig,
        attention: &Attention,
        h: &Tensor,
        seen: &[[Tensor; 2]],
    ) -> Tensor {
        let head_dim = config.head_dim as usize;
        let q = self.turn(ctx, &heads(ctx, &attention.q, h, head_dim)); // [head_dim, n_head, n_tokens]
        let [_, n_head, n_tokens, _] = q.dims();
        let strides = q.strides();
        let scale = 1.0 / (head_dim as f32).sqrt();
        let mut start = 0;
        let attend = |((span, inputs), [k, v]): (&(Span, SpanInputs), &[Tensor; 2])| {
            let own = match span.n_tokens == n_tokens {
                true => q.clone(),
                false => ctx.view_3d(
                    &q,
                    [head_dim, n_head, span.n_tokens],
                    [strides[1], strides[2]],
                    strides[2] * start,
                ),
            };
            start += span.n_tokens;
            let own = ctx.swap_1_2(&own); // [head_dim, span's tokens, n_head]
            let mask = Some(&inputs.mask);
            ctx.flash_attention(&own, k, v, mask, scale, precision(attention)) // [head_dim, n_head, span's tokens]
        };
        let parts = self.spans.iter().zip(seen).map(attend);
        let mixed = parts.reduce(|a, b| ctx.concat_2(&a, &b));
        let mixed = mixed.expect("a batch has a span"); // [head_dim, n_head, n_tokens]
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
            spans: self.spans.into_iter().map(|(_, inputs)| inputs).collect(),
            periods: self.periods,
            output_rows: self.output_rows,
            logits,
            taps,
        }
    }
}
