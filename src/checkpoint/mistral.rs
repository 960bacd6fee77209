//! Reads Mistral's params.json. Field names and defaults are those of mistral_inference 1.6.0
//! (`args.py`: `TransformerArgs`, `VisionEncoderArgs`); what the reference would compute
//! differently for a field's value, this refuses.

use super::context_length;
use super::fields::Fields;
use super::image_ids::ImageIds;
use crate::config::{Config, TextConfig, VisionConfig};
use crate::{Error, ErrorKind, Result};
use serde_json::{Value, json};

/// The configuration in `params`, the contents of `file`. `ids` are those of the tokenizer;
/// fields that are ignored are added to `notes`.
pub(super) fn config(
    file: &str,
    params: &Value,
    ids: &ImageIds,
    notes: &mut Vec<String>,
) -> Result<Config> {
    let mut fields = Fields::new(file, params)?;
    let Some(mut vision) = fields.object("vision_encoder")? else {
        return Err(Error::new(
            ErrorKind::UnsupportedModel,
            format!("{file}: there is no vision_encoder: this is a text-only model"),
        ));
    };
    let text = text(&mut fields)?;
    let vision = {
        let config = vision_encoder(&mut vision, ids)?;
        vision.finish(notes);
        config
    };
    fields.finish(notes);
    let config = Config { text, vision };
    config.validate().map_err(|e| e.context(file))?;
    Ok(config)
}

fn text(fields: &mut Fields<'_>) -> Result<TextConfig> {
    fields.only("model_type", &[json!("transformer"), Value::Null])?;
    // Null, absent, or a value that means the same.
    for (key, neutral) in [
        ("moe", Value::Null),
        ("lora", Value::Null),
        ("sliding_window", Value::Null),
        ("_sliding_window", Value::Null),
        ("rope_scaling", Value::Null),
        ("yarn", Value::Null),
        ("llama_4_scaling", Value::Null),
        ("multimodal", Value::Null),
        ("quantization", Value::Null),
        ("quantization_config", Value::Null),
        ("q_lora_rank", Value::Null),
        ("kv_lora_rank", Value::Null),
        ("tied_embeddings", json!(false)),
        ("tie_word_embeddings", json!(false)),
        ("use_biases", json!(false)),
        ("use_qk_norm", json!(false)),
        ("causal", json!(true)),
        ("activation", json!("silu")),
        ("hidden_act", json!("silu")),
    ] {
        fields.only(key, &[neutral, Value::Null])?;
    }
    fields.ignore(&["max_batch_size", "model_name", "torch_dtype", "dtype"]);
    let position_limits = [
        fields.opt_u32("max_position_embeddings")?,
        fields.opt_u32("max_seq_len")?,
        fields.opt_u32("model_max_length")?,
    ];
    Ok(TextConfig {
        block_count: fields.u32("n_layers")?,
        embedding_length: fields.u32("dim")?,
        feed_forward_length: fields.u32("hidden_dim")?,
        head_count: fields.u32("n_heads")?,
        head_count_kv: fields.u32("n_kv_heads")?,
        head_dim: fields.u32("head_dim")?,
        vocab_size: fields.u32("vocab_size")?,
        context_length: context_length(position_limits),
        rope_theta: fields.f32("rope_theta")?,
        norm_eps: fields.f32("norm_eps")?,
    })
}

fn vision_encoder(fields: &mut Fields<'_>, ids: &ImageIds) -> Result<VisionConfig> {
    for (key, neutral) in [
        ("spatial_merge_size", json!(1)),
        ("add_pre_mm_projector_layer_norm", json!(false)),
        ("mm_projector_id", json!("")),
        ("hidden_act", json!("silu")),
        ("use_cls_token", json!(false)),
    ] {
        fields.only(key, &[neutral, Value::Null])?;
    }
    let image_size = fields.u32("image_size")?;
    if let Some(max) = fields.opt_u32("max_image_size")?
        && max != image_size
    {
        return Err(fields.unsupported(
            "max_image_size",
            format!("{max}: only models where it equals image_size ({image_size}) are supported"),
        ));
    }
    Ok(VisionConfig {
        block_count: fields.u32("num_hidden_layers")?,
        embedding_length: fields.u32("hidden_size")?,
        feed_forward_length: fields.u32("intermediate_size")?,
        head_count: fields.u32("num_attention_heads")?,
        image_size,
        patch_size: fields.u32("patch_size")?,
        num_channels: fields.u32("num_channels")?,
        rope_theta: fields.opt_f32("rope_theta")?.unwrap_or(1e4),
        // Written into mistral_inference's vision_encoder.py, not into params.json.
        norm_eps: 1e-5,
        adapter_bias: fields.bool_or("adapter_bias", true)?,
        image_token_id: ids.image(fields, "image_token_id")?,
        image_break_token_id: ids.image_break(fields, "image_break_token_id")?,
        image_end_token_id: ids.image_end(fields, "image_end_token_id")?,
    })
}
