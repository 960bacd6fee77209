//! The blueprint of a model: every size that decides its shape, and the list of its tensors.
//!
//! Filled from a checkpoint's JSON or from a file's metadata, read by everything above. Of the
//! container it knows the key-value list only, and neither files nor ggml; nothing about
//! Pixtral-12B's own sizes is written down here except [`Config::pixtral_12b`], which exists to
//! make full-size files of random weights.

mod inventory;
mod metadata;
mod validate;

pub use inventory::{Group, Role, TensorSpec, inventory};
pub use metadata::ARCHITECTURE;

/// Shape of the whole model.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The decoder.
    pub text: TextConfig,
    /// The vision tower and its projector.
    pub vision: VisionConfig,
}

/// Shape of the decoder (Mistral-Nemo's architecture).
#[derive(Clone, Debug, PartialEq)]
pub struct TextConfig {
    /// Number of layers.
    pub block_count: u32,
    /// Width of the residual stream.
    pub embedding_length: u32,
    /// Width of the SwiGLU feed-forward network.
    pub feed_forward_length: u32,
    /// Query heads.
    pub head_count: u32,
    /// Key and value heads; divides `head_count`.
    pub head_count_kv: u32,
    /// Elements per head. Not `embedding_length / head_count` in general.
    pub head_dim: u32,
    /// Rows of the embedding and of the output matrix.
    pub vocab_size: u32,
    /// Longest context the model was made for, in tokens.
    pub context_length: u32,
    /// Base of the rotary position frequencies.
    pub rope_theta: f32,
    /// Epsilon of every RMSNorm.
    pub norm_eps: f32,
}

/// Shape of the vision tower and of the two-layer projector behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct VisionConfig {
    /// Number of layers.
    pub block_count: u32,
    /// Width of the residual stream.
    pub embedding_length: u32,
    /// Width of the SwiGLU feed-forward network.
    pub feed_forward_length: u32,
    /// Attention heads; divides `embedding_length`.
    pub head_count: u32,
    /// Longest side of a picture in pixels, after which it is scaled down.
    pub image_size: u32,
    /// Side of a square patch in pixels.
    pub patch_size: u32,
    /// Colour channels (3).
    pub num_channels: u32,
    /// Base of the two-dimensional rotary position frequencies.
    pub rope_theta: f32,
    /// Epsilon of every RMSNorm.
    pub norm_eps: f32,
    /// Whether the projector's two linear layers have biases.
    pub adapter_bias: bool,
    /// Token that takes one row of the picture's embeddings.
    pub image_token_id: u32,
    /// Token after each row of patches but the last.
    pub image_break_token_id: u32,
    /// Token after the last row of patches.
    pub image_end_token_id: u32,
}

impl TextConfig {
    /// Width of all query heads together.
    pub fn query_length(&self) -> u32 {
        self.head_count * self.head_dim
    }

    /// Width of all key (or value) heads together.
    pub fn kv_length(&self) -> u32 {
        self.head_count_kv * self.head_dim
    }
}

impl VisionConfig {
    /// Elements per head.
    pub fn head_dim(&self) -> u32 {
        self.embedding_length / self.head_count
    }

    /// Values in one patch: channels × side × side.
    pub fn patch_length(&self) -> u32 {
        self.num_channels * self.patch_size * self.patch_size
    }
}

impl Config {
    /// The published shape of Pixtral-12B-2409 (its params.json), for synthetic full-size files.
    pub fn pixtral_12b() -> Self {
        Self {
            text: TextConfig {
                block_count: 40,
                embedding_length: 5120,
                feed_forward_length: 14336,
                head_count: 32,
                head_count_kv: 8,
                head_dim: 128,
                vocab_size: 131_072,
                context_length: 131_072,
                rope_theta: 1e9,
                norm_eps: 1e-5,
            },
            vision: VisionConfig {
                block_count: 24,
                embedding_length: 1024,
                feed_forward_length: 4096,
                head_count: 16,
                image_size: 1024,
                patch_size: 16,
                num_channels: 3,
                rope_theta: 1e4,
                norm_eps: 1e-5,
                adapter_bias: true,
                image_token_id: 10,
                image_break_token_id: 12,
                image_end_token_id: 13,
            },
        }
    }
}
