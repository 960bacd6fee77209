//! Metadata of the text half: a model of llama.cpp's architecture "llama", which is Mistral's
//! decoder as well. Its rotary embedding turns neighbouring values (`llama_model_rope_type` in
//! llama-model.cpp), which is the order of our q and k rows.

use super::general;
use crate::Result;
use crate::config::Config;
use crate::gguf::{ARCHITECTURE_KEY, Metadata};
use crate::tokenizer::Tokenizer;

/// The keys that `load_hparams` in llama-model.cpp and `load_arch_hparams` in models/llama.cpp
/// read, and the tokenizer's that llama-vocab.cpp reads. There is no chat template: a file contains
/// no template code, and llama.cpp knows this one as `mistral-v3-tekken`.
pub(super) fn metadata(
    config: &Config,
    tokenizer: &Tokenizer,
    ours: &Metadata,
) -> Result<Metadata> {
    let mut metadata = Metadata::new();
    metadata.insert(ARCHITECTURE_KEY, "llama");
    metadata.insert("general.type", "model");
    general(ours, &mut metadata);
    let t = &config.text;
    for (name, value) in [
        ("vocab_size", t.vocab_size),
        ("context_length", t.context_length),
        ("embedding_length", t.embedding_length),
        ("block_count", t.block_count),
        ("feed_forward_length", t.feed_forward_length),
        ("attention.head_count", t.head_count),
        ("attention.head_count_kv", t.head_count_kv),
        ("attention.key_length", t.head_dim),
        ("attention.value_length", t.head_dim),
        ("rope.dimension_count", t.head_dim),
    ] {
        metadata.insert(format!("llama.{name}"), value);
    }
    metadata.insert("llama.attention.layer_norm_rms_epsilon", t.norm_eps);
    metadata.insert("llama.rope.freq_base", t.rope_theta);
    tokenizer.to_llama_cpp_metadata(&mut metadata)?;
    Ok(metadata)
}
