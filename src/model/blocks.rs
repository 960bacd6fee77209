//! The pieces that tower and decoder have in common.

use super::{Attention, FeedForward, Linear};
use crate::ggml::{Context, Precision, Tensor, Type};

/// RMSNorm with gain: `x / √(mean(x²) + eps) · gain`, per row.
pub(super) fn rms_norm(ctx: &Context, x: &Tensor, gain: &Tensor, eps: f32) -> Tensor {
    ctx.mul(&ctx.rms_norm(x, eps), gain)
}

/// SwiGLU: `[d, n]` to `[d, n]`.
pub(super) fn feed_forward(ctx: &Context, ffn: &FeedForward, x: &Tensor) -> Tensor {
    let gate = ctx.mul_mat(&ffn.gate, x); // [ffn, n]
    let up = ctx.mul_mat(&ffn.up, x); // [ffn, n]
    ctx.mul_mat(&ffn.down, &ctx.swiglu(&gate, &up)) // [d, n]
}

/// `weight · x + bias`.
pub(super) fn linear(ctx: &Context, linear: &Linear, x: &Tensor) -> Tensor {
    let y = ctx.mul_mat(&linear.weight, x);
    match &linear.bias {
        Some(bias) => ctx.add(&y, bias),
        None => y,
    }
}

/// `weight · x` split into heads: `[head_dim, n_head, n]`.
pub(super) fn heads(ctx: &Context, weight: &Tensor, x: &Tensor, head_dim: usize) -> Tensor {
    let y = ctx.mul_mat(weight, x); // [n_head · head_dim, n]
    let [width, n, ..] = y.dims();
    ctx.reshape(&y, [head_dim, width / head_dim, n])
}

/// How exact attention has to be beside the rounding of the projections' weights: bf16, the type of
/// the published weights, is coarser than none but f32 and f16.
pub(super) fn precision(attention: &Attention) -> Precision {
    match [Type::F32, Type::F16].contains(&attention.k.ty()) {
        true => Precision::F32,
        false => Precision::Bf16,
    }
}

/// Names inner results, so that observers can follow a run, and, when asked, keeps them readable.
pub(super) struct Taps<'a> {
    ctx: &'a Context,
    keep: bool,
    kept: Vec<Tensor>,
}

impl<'a> Taps<'a> {
    pub(super) fn new(ctx: &'a Context, keep: bool) -> Self {
        Self {
            ctx,
            keep,
            kept: Vec::new(),
        }
    }

    pub(super) fn mark(&mut self, name: &str, tensor: &Tensor) {
        self.ctx.name(tensor, name);
        if self.keep {
            self.ctx.output(tensor);
            self.kept.push(tensor.clone());
        }
    }

    pub(super) fn into_kept(self) -> Vec<Tensor> {
        self.kept
    }
}
