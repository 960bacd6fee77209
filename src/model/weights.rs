//! The weights, one field a tensor, with the shape of each.

use crate::{Result, config::Config, ggml::Tensor};

/// All weights of a model.
pub struct Weights {
    /// Vision tower and projector.
    pub vision: VisionWeights,
    /// Decoder.
    pub decoder: DecoderWeights,
}

/// Vision tower and projector. `d` is the tower's width, `D` the decoder's.
pub struct VisionWeights {
    /// `[patch, patch, channels, d]`: one row of `channels · patch²` values per output.
    pub patch_embedding: Tensor,
    /// `[d]`
    pub pre_norm: Tensor,
    /// The tower's layers, first to last.
    pub layers: Vec<Layer>,
    /// `[d, D]`
    pub projector_in: Linear,
    /// `[D, D]`
    pub projector_out: Linear,
}

/// Decoder. `D` is its width.
pub struct DecoderWeights {
    /// `[D, vocab_size]`
    pub token_embedding: Tensor,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// `[D]`
    pub output_norm: Tensor,
    /// `[D, vocab_size]`
    pub output: Tensor,
}

/// One transformer layer of width `d`; tower and decoder share the form.
pub struct Layer {
    /// `[d]`
    pub attention_norm: Tensor,
    /// Self-attention.
    pub attention: Attention,
    /// `[d]`
    pub ffn_norm: Tensor,
    /// Feed-forward network.
    pub ffn: FeedForward,
}

/// Attention projections of a layer of width `d`, rows of q and k in interleaved rotary order.
pub struct Attention {
    /// `[d, head_count · head_dim]`
    pub q: Tensor,
    /// `[d, head_count_kv · head_dim]`
    pub k: Tensor,
    /// `[d, head_count_kv · head_dim]`
    pub v: Tensor,
    /// `[head_count · head_dim, d]`
    pub output: Tensor,
}

/// SwiGLU network `down(silu(gate x) · up x)`.
pub struct FeedForward {
    /// `[d, feed_forward_length]`
    pub gate: Tensor,
    /// `[d, feed_forward_length]`
    pub up: Tensor,
    /// `[feed_forward_length, d]`
    pub down: Tensor,
}

/// A linear layer, with or without bias.
pub struct Linear {
    /// `[n_in, n_out]`
    pub weight: Tensor,
    /// `[n_out]`
    pub bias: Option<Tensor>,
}

impl Weights {
    /// Collects the weights of a model of shape `config`; `take` gives the tensor of a name in
    /// [`inventory`](crate::config::inventory), with the shape that the inventory says.
    pub fn collect(config: &Config, mut take: impl FnMut(&str) -> Result<Tensor>) -> Result<Self> {
        let take = &mut take;
        Ok(Self {
            vision: VisionWeights::collect(config, take)?,
            decoder: DecoderWeights::collect(config, take)?,
        })
    }
}

impl VisionWeights {
    fn collect(config: &Config, take: &mut impl FnMut(&str) -> Result<Tensor>) -> Result<Self> {
        let names = LayerNames {
            prefix: "v.blk",
            attention_norm: "ln1",
            attention_output: "attn_out",
            ffn_norm: "ln2",
        };
        let mut projector = |i| -> Result<Linear> {
            Ok(Linear {
                weight: take(&format!("mm.{i}.weight"))?,
                bias: match config.vision.adapter_bias {
                    true => Some(take(&format!("mm.{i}.bias"))?),
                    false => None,
                },
            })
        };
        Ok(Self {
            projector_in: projector(1)?,
            projector_out: projector(2)?,
            patch_embedding: take("v.patch_embd.weight")?,
            pre_norm: take("v.pre_ln.weight")?,
            layers: names.collect(config.vision.block_count, take)?,
        })
    }
}

impl DecoderWeights {
    fn collect(config: &Config, take: &mut impl FnMut(&str) -> Result<Tensor>) -> Result<Self> {
        let names = LayerNames {
            prefix: "blk",
            attention_norm: "attn_norm",
            attention_output: "attn_output",
            ffn_norm: "ffn_norm",
        };
        Ok(Self {
            token_embedding: take("token_embd.weight")?,
            layers: names.collect(config.text.block_count, take)?,
            output_norm: take("output_norm.weight")?,
            output: take("output.weight")?,
        })
    }
}

/// The parts of tensor names in which llama.cpp's tower and decoder differ.
struct LayerNames {
    prefix: &'static str,
    attention_norm: &'static str,
    attention_output: &'static str,
    ffn_norm: &'static str,
}

impl LayerNames {
    fn collect(
        &self,
        block_count: u32,
        take: &mut impl FnMut(&str) -> Result<Tensor>,
    ) -> Result<Vec<Layer>> {
        (0..block_count)
            .map(|i| {
                let mut take = |part: &str| take(&format!("{}.{i}.{part}.weight", self.prefix));
                Ok(Layer {
                    attention_norm: take(self.attention_norm)?,
                    attention: Attention {
                        q: take("attn_q")?,
                        k: take("attn_k")?,
                        v: take("attn_v")?,
                        output: take(self.attention_output)?,
                    },
                    ffn_norm: take(self.ffn_norm)?,
                    ffn: FeedForward {
                        gate: take("ffn_gate")?,
                        up: take("ffn_up")?,
                        down: take("ffn_down")?,
                    },
                })
            })
            .collect()
    }
}
