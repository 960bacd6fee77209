//! The vision graph: patches of one picture, or of several that do not see each other, in; one row of
//! decoder input per patch out.

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

/// Most patches of several pictures: with more, no device computes faster by the patch (docs/SPEED.md),
/// and the mask grows with their square.
pub const MOST_TOGETHER: usize = 1024;

/// What a vision graph depends on besides the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Patches of all pictures.
    pub n_patches: usize,
    /// Whether they are of several pictures: a patch then sees those of its own picture only.
    pub several: bool,
    /// Whether inner results stay readable.
    pub keep_taps: bool,
}

impl Shape {
    /// The shapes that take the most working memory: the largest picture, and as many as are encoded
    /// together.
    pub fn largest(vision: &VisionConfig) -> [Self; 2] {
        let side = (vision.image_size / vision.patch_size).max(1) as usize;
        let shape = |several, n_patches| Self {
            n_patches,
            several,
            keep_taps: false,
        };
        [shape(false, side * side), shape(true, MOST_TOGETHER)]
    }
}

/// A vision graph with its inputs and results. `n` is the number of patches.
pub struct VisionGraph {
    /// What it was built for.
    pub shape: Shape,
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
    /// f16 `[n, n]`, if there are several pictures: 0 where two patches are of the same one, −∞
    /// elsewhere.
    pub mask: Option<Tensor>,
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
    /// Builds the graph for `shape`.
    pub fn build(config: &VisionConfig, weights: &VisionWeights, shape: Shape) -> Result<Self> {
        let n = shape.n_patches;
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
        let mask = shape.several.then(|| ctx.input("mask", Type::F16, &[n, n]));
        let mut taps = Taps::new(ctx, shape.keep_taps);
        let sight = Sight {
            rotary,
            mask: mask.as_ref(),
        };
        let x = tower(ctx, config, weights, &patches, &sight, &mut taps); // [d, n]
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
        } = sight.rotary;
        Ok(Self {
            shape,
            graph,
            patches,
            rows,
            columns,
            row_periods,
            column_periods,
            mask,
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

/// What attention knows of patches besides what they look like: where they are, and which of them
/// belong together.
struct Sight<'a> {
    rotary: Rotary,
    mask: Option<&'a Tensor>,
}

/// The tower without the projector: `[patch_length, n]` to `[d, n]`. There is no final norm.
fn tower(
    ctx: &Context,
    config: &VisionConfig,
    weights: &VisionWeights,
    patches: &Tensor,
    sight: &Sight,
    taps: &mut Taps,
) -> Tensor {
    let Sight { rotary, mask } = sight;
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
        let mixed = ctx.flash_attention(&q, &k, &v, *mask, scale, precision); // [head_dim, n_head, n]
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
