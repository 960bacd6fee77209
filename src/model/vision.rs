//! The vision graph: one image's patches in, one row of decoder input per patch out.

use super::{
    VisionWeights,
    blocks::{Taps, feed_forward, heads, linear, precision, rms_norm},
};
use crate::{
    Result,
    config::VisionConfig,
    ggml::{Context, Graph, Rope, Tensor, Type},
};

/// Prefix of the names of the tower's layer outputs, `vit.0`, `vit.1`, …, and of what cuts a layer into
/// [slices](SLICES).
pub const LAYER_PREFIX: &str = "vit.";

/// Named results of a layer: what attention gives, `vit.0.mixed`, and the layer's output.
pub const SLICES: usize = 2;

/// A vision graph with its inputs and results. `n` is the number of patches.
pub struct VisionGraph {
    /// The graph, ready to be placed.
    pub graph: Graph,
    /// f32 `[patch_length, n]`: normalised pixels, each patch in (channel, y, x) order.
    pub patches: Tensor,
    /// i32 `[n]`: row of each patch in the grid.
    pub rows: Tensor,
    /// i32 `[n]`: column of each patch in the grid.
    pub columns: Tensor,
    /// f32 `[head_dim / 2]`: [`vision_periods`](super::vision_periods) by row.
    pub row_periods: Tensor,
    /// f32 `[head_dim / 2]`: the same by column.
    pub column_periods: Tensor,
    /// f32 `[D, n]`: the embeddings, in the order of the patches.
    pub embeddings: Tensor,
    /// `patch_embed`, `ln_pre` and each layer's output, if they were asked for.
    pub taps: Vec<Tensor>,
}

/// Upper bound of the nodes of a graph for `vision`.
pub fn max_nodes(vision: &VisionConfig) -> usize {
    64 + 40 * vision.block_count as usize
}

impl VisionGraph {
    /// The number of patches that the graph was built for.
    pub fn n_patches(&self) -> usize {
        self.rows.n_elements()
    }

    /// Builds the graph for an image of `n` patches; `keep_taps` keeps inner results readable.
    ///
    /// Every patch sees every other: images of one request are encoded by graphs of their own,
    /// so that they do not see each other.
    pub fn build(
        config: &VisionConfig,
        weights: &VisionWeights,
        n: usize,
        keep_taps: bool,
    ) -> Result<Self> {
        let mut graph = Graph::new(max_nodes(config))?;
        let head_dim = config.head_dim() as usize;
        let ctx = graph.context();
        let patches = ctx.input("patches", Type::F32, &[config.patch_length() as usize, n]);
        let rotary = Rotary {
            head_dim,
            rows: ctx.input("rows", Type::I32, &[n]),
            columns: ctx.input("columns", Type::I32, &[n]),
            row_periods: ctx.input("row_periods", Type::F32, &[head_dim / 2]),
            column_periods: ctx.input("column_periods", Type::F32, &[head_dim / 2]),
        };
        let mut taps = Taps::new(ctx, keep_taps);
        let x = tower(ctx, config, weights, &patches, &rotary, &mut taps); // [d, n]
        let hidden = ctx.gelu_erf(&linear(ctx, &weights.projector_in, &x)); // [D, n]
        let embeddings = linear(ctx, &weights.projector_out, &hidden); // [D, n]
        ctx.output(&embeddings);
        let taps = taps.into_kept();
        graph.expand(&embeddings);
        let Rotary {
            rows,
            columns,
            row_periods,
            column_periods,
            ..
        } = rotary;
        Ok(Self {
            graph,
            patches,
            rows,
            columns,
            row_periods,
            column_periods,
            embeddings,
            taps,
        })
    }
}

/// Two-dimensional rotary positions: the first half of a head turns by row, the second by column.
struct Rotary {
    head_dim: usize,
    rows: Tensor,
    columns: Tensor,
    row_periods: Tensor,
    column_periods: Tensor,
}

impl Rotary {
    /// Turns `x` `[head_dim, n_head, n]`.
    fn turn(&self, ctx: &Context, x: &Tensor) -> Tensor {
        let half = self.head_dim / 2;
        let by_row = Rope {
            n_dims: half,
            offset: 0,
        };
        let by_column = Rope {
            n_dims: half,
            offset: half,
        };
        let x = ctx.rope(x, &self.rows, &self.row_periods, by_row);
        ctx.rope(&x, &self.columns, &self.column_periods, by_column)
    }
}

/// The tower without the projector: `[patch_length, n]` to `[d, n]`. There is no final norm.
fn tower(
    ctx: &Context,
    config: &VisionConfig,
    weights: &VisionWeights,
    patches: &Tensor,
    rotary: &Rotary,
    taps: &mut Taps,
) -> Tensor {
    let d = config.embedding_length as usize;
    let n = patches.dims()[1];
    let scale = 1.0 / (rotary.head_dim as f32).sqrt();
    // A convolution whose stride is its width is a matrix product over each patch.
    let kernel = ctx.reshape(
        &weights.patch_embedding,
        [config.patch_length() as usize, d, 1],
    );
    let mut x = ctx.mul_mat(&kernel, patches); // [d, n]
    taps.mark("patch_embed", &x);
    x = rms_norm(ctx, &x, &weights.pre_norm, config.norm_eps);
    taps.mark("ln_pre", &x);
    for (i, layer) in weights.layers.iter().enumerate() {
        let h = rms_norm(ctx, &x, &layer.attention_norm, config.norm_eps);
        let q = rotary.turn(ctx, &heads(ctx, &layer.attention.q, &h, rotary.head_dim));
        let k = rotary.turn(ctx, &heads(ctx, &layer.attention.k, &h, rotary.head_dim));
        let v = heads(ctx, &layer.attention.v, &h, rotary.head_dim);
        // [head_dim, n_head, n] each, seen as [head_dim, n, n_head]
        let [q, k, v] = [q, k, v].map(|t| ctx.swap_1_2(&t));
        let precision = precision(&layer.attention);
        let mixed = ctx.flash_attention(&q, &k, &v, None, scale, precision); // [head_dim, n_head, n]
        let mixed = ctx.reshape(&mixed, [d, n, 1]);
        // Named last: what is made of a named tensor without computing is named after it.
        ctx.name(&mixed, &format!("{LAYER_PREFIX}{i}.mixed"));
        x = ctx.add(&x, &ctx.mul_mat(&layer.attention.output, &mixed));
        let h = rms_norm(ctx, &x, &layer.ffn_norm, config.norm_eps);
        x = ctx.add(&x, &feed_forward(ctx, &layer.ffn, &h));
        taps.mark(&format!("{LAYER_PREFIX}{i}"), &x);
    }
    x
}
