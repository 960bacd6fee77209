//! The complete list of a model's tensors, in file order: the order in which a run uses them.
//!
//! Names follow llama.cpp's, so that exchanging files with its pair (text GGUF and mmproj GGUF) is
//! renaming, not rewriting. Dimensions are in ggml order: `ne[0]` is the length of a row, the
//! direction in which a matrix product sums.

use super::{Config, TextConfig, VisionConfig};
use std::fmt;

/// A run of tensors that is loaded, placed and released together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Vision tower and projector.
    Vision,
    /// Token embedding.
    Embedding,
    /// One decoder layer.
    Block(u32),
    /// Final norm and output matrix.
    Output,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Group::Vision => f.write_str("vision"),
            Group::Embedding => f.write_str("embedding"),
            Group::Block(i) => write!(f, "blk.{i}"),
            Group::Output => f.write_str("output"),
        }
    }
}

/// What a tensor does, which decides the type a recipe gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The vision tower's patch convolution.
    PatchEmbedding,
    /// A norm's gain.
    Norm,
    /// A bias.
    Bias,
    /// Query projection (rows in interleaved rotary order).
    AttnQ,
    /// Key projection (rows in interleaved rotary order).
    AttnK,
    /// Value projection.
    AttnV,
    /// Attention output projection.
    AttnOutput,
    /// SwiGLU gate projection.
    FfnGate,
    /// SwiGLU up projection.
    FfnUp,
    /// SwiGLU down projection.
    FfnDown,
    /// A linear layer of the projector.
    Projector,
    /// Token embedding.
    TokenEmbedding,
    /// Output matrix.
    Output,
}

/// A tensor that a model of some [`Config`] must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the GGUF file.
    pub name: String,
    /// Dimensions in ggml order, one to four of them.
    pub dims: Vec<u64>,
    /// The run it belongs to.
    pub group: Group,
    /// What it does.
    pub role: Role,
}

impl TensorSpec {
    /// Number of elements.
    pub fn n_elements(&self) -> u64 {
        self.dims.iter().product()
    }

    /// Number of rows of `dims[0]` elements each.
    pub fn n_rows(&self) -> u64 {
        self.dims[1..].iter().product()
    }
}

/// Every tensor of a model of shape `config`, in file order.
pub fn inventory(config: &Config) -> Vec<TensorSpec> {
    let mut list = Vec::new();
    vision(&config.vision, &config.text, &mut list);
    text(&config.text, &mut list);
    list
}

fn vision(v: &VisionConfig, t: &TextConfig, list: &mut Vec<TensorSpec>) {
    let dim = u64::from(v.embedding_length);
    let ffn = u64::from(v.feed_forward_length);
    let out = u64::from(t.embedding_length);
    let patch = u64::from(v.patch_size);
    let channels = u64::from(v.num_channels);
    let mut add = |name: String, dims: &[u64], role| {
        list.push(TensorSpec {
            name,
            dims: dims.to_vec(),
            group: Group::Vision,
            role,
        });
    };
    add(
        "v.patch_embd.weight".into(),
        &[patch, patch, channels, dim],
        Role::PatchEmbedding,
    );
    add("v.pre_ln.weight".into(), &[dim], Role::Norm);
    for i in 0..v.block_count {
        add(format!("v.blk.{i}.ln1.weight"), &[dim], Role::Norm);
        add(format!("v.blk.{i}.attn_q.weight"), &[dim, dim], Role::AttnQ);
        add(format!("v.blk.{i}.attn_k.weight"), &[dim, dim], Role::AttnK);
        add(format!("v.blk.{i}.attn_v.weight"), &[dim, dim], Role::AttnV);
        add(
            format!("v.blk.{i}.attn_out.weight"),
            &[dim, dim],
            Role::AttnOutput,
        );
        add(format!("v.blk.{i}.ln2.weight"), &[dim], Role::Norm);
        add(
            format!("v.blk.{i}.ffn_gate.weight"),
            &[dim, ffn],
            Role::FfnGate,
        );
        add(format!("v.blk.{i}.ffn_up.weight"), &[dim, ffn], Role::FfnUp);
        add(
            format!("v.blk.{i}.ffn_down.weight"),
            &[ffn, dim],
            Role::FfnDown,
        );
    }
    for (layer, dims) in [(1, [dim, out]), (2, [out, out])] {
        add(format!("mm.{layer}.weight"), &dims, Role::Projector);
        if v.adapter_bias {
            add(format!("mm.{layer}.bias"), &[out], Role::Bias);
        }
    }
}

fn text(t: &TextConfig, list: &mut Vec<TensorSpec>) {
    let dim = u64::from(t.embedding_length);
    let ffn = u64::from(t.feed_forward_length);
    let q = u64::from(t.query_length());
    let kv = u64::from(t.kv_length());
    let vocab = u64::from(t.vocab_size);
    let mut add = |group, name: String, dims: &[u64], role| {
        list.push(TensorSpec {
            name,
            dims: dims.to_vec(),
            group,
            role,
        });
    };
    add(
        Group::Embedding,
        "token_embd.weight".into(),
        &[dim, vocab],
        Role::TokenEmbedding,
    );
    for i in 0..t.block_count {
        let g = Group::Block(i);
        add(g, format!("blk.{i}.attn_norm.weight"), &[dim], Role::Norm);
        add(g, format!("blk.{i}.attn_q.weight"), &[dim, q], Role::AttnQ);
        add(g, format!("blk.{i}.attn_k.weight"), &[dim, kv], Role::AttnK);
        add(g, format!("blk.{i}.attn_v.weight"), &[dim, kv], Role::AttnV);
        add(
            g,
            format!("blk.{i}.attn_output.weight"),
            &[q, dim],
            Role::AttnOutput,
        );
        add(g, format!("blk.{i}.ffn_norm.weight"), &[dim], Role::Norm);
        add(
            g,
            format!("blk.{i}.ffn_gate.weight"),
            &[dim, ffn],
            Role::FfnGate,
        );
        add(
            g,
            format!("blk.{i}.ffn_up.weight"),
            &[dim, ffn],
            Role::FfnUp,
        );
        add(
            g,
            format!("blk.{i}.ffn_down.weight"),
            &[ffn, dim],
            Role::FfnDown,
        );
    }
    add(
        Group::Output,
        "output_norm.weight".into(),
        &[dim],
        Role::Norm,
    );
    add(
        Group::Output,
        "output.weight".into(),
        &[dim, vocab],
        Role::Output,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_shape_has_the_published_number_of_parameters() {
        let list = inventory(&Config::pixtral_12b());
        let count = |vision: bool| -> u64 {
            list.iter()
                .filter(|t| (t.group == Group::Vision) == vision)
                .map(TensorSpec::n_elements)
                .sum()
        };
        // 12.25 B in the decoder; 0.40 B in the vision tower and 0.03 B in the projector.
        assert_eq!(count(false), 12_247_782_400);
        assert_eq!(count(true), 434_957_312);
    }

    #[test]
    fn groups_are_contiguous_and_in_order_of_use() {
        let list = inventory(&Config::pixtral_12b());
        assert!(list.windows(2).all(|w| w[0].group <= w[1].group));
    }
}
