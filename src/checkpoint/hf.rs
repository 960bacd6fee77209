//! Reads Hugging Face's config.json of a `LlavaForConditionalGeneration` made of a Mistral decoder
//! and a Pixtral vision tower. A field that the file leaves out has the default of transformers
//! (4.45 to 5.x): `LlavaConfig`, `MistralConfig` and `PixtralVisionConfig`; what those classes
//! would compute differently for a field's value, this refuses.

use super::context_length;
use super::fields::Fields;
use super::image_ids::ImageIds;
use crate::Result;
use crate::config::{Config, TextConfig, VisionConfig};
use serde_json::{Value, json};

/// Fields of `PretrainedConfig` and of the three classes that steer training, generation or
/// bookkeeping, and so say nothing about the values computed for a given input.
const NEUTRAL: &[&str] = &[
    "_attn_implementation_autoset",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "id2label",
    "ignore_index",
    "image_seq_length",
    "initializer_range",
    "is_composition",
    "is_decoder",
    "label2id",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pad_token_id",
    "prefix",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "typical_p",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "auto_map",
    "_commit_hash",
    "text_config_dict",
    "vision_config_dict",
    "processor_class",
    "model_name",
];

/// The configuration in `json`, the contents of `file`. `ids` are those of the tokenizer; fields
/// that are ignored are added to `notes`.
pub(super) fn config(
    file: &str,
    json: &Value,
    ids: &ImageIds,
    notes: &mut Vec<String>,
) -> Result<Config> {
    let mut fields = Fields::new(file, json)?;
    fields.only("model_type", &[json!("llava")])?;
    let mut text = fields
        .object("text_config")?
        .ok_or_else(|| fields.missing("text_config"))?;
    let mut vision = fields
        .object("vision_config")?
        .ok_or_else(|| fields.missing("vision_config"))?;
    fields.only_with_default("vision_feature_layer", json!(-2), LLAVA, &[json!(-1)])?;
    fields.only_with_default(
        "vision_feature_select_strategy",
        json!("default"),
        LLAVA,
        &[json!("full")],
    )?;
    // "gelu" is the exact, erf form.
    fields.only("projector_hidden_act", &[json!("gelu")])?;
    fields.only("quantization_config", &[Value::Null])?;
    fields.only("tie_word_embeddings", &[json!(false), Value::Null])?;
    fields.ignore(NEUTRAL);

    let image_key = match fields.opt_u32("image_token_index")? {
        Some(_) => "image_token_index",
        None => "image_token_id",
    };
    let outer = Outer {
        adapter_bias: fields.bool_or("multimodal_projector_bias", true)?,
        image: ids.image(&mut fields, image_key)?,
        image_break: ids.image_break(&mut fields, "image_break_token_id")?,
        image_end: ids.image_end(&mut fields, "image_end_token_id")?,
    };
    let config = Config {
        text: text_config(&mut text)?,
        vision: vision_config(&mut vision, &outer)?,
    };
    text.finish(notes);
    vision.finish(notes);
    fields.finish(notes);
    config.validate().map_err(|e| e.context(file))?;
    Ok(config)
}

const LLAVA: &str = "LlavaConfig";
const MISTRAL: &str = "MistralConfig";
const PIXTRAL: &str = "PixtralVisionConfig";

fn text_config(fields: &mut Fields<'_>) -> Result<TextConfig> {
    fields.only_with_default("model_type", json!("llama"), LLAVA, &[json!("mistral")])?;
    fields.only_with_default("sliding_window", json!(4096), MISTRAL, &[Value::Null])?;
    for (key, neutral) in [
        ("hidden_act", json!("silu")),
        ("tie_word_embeddings", json!(false)),
        ("attention_bias", json!(false)),
        ("mlp_bias", json!(false)),
        ("quantization_config", Value::Null),
        ("add_cross_attention", json!(false)),
        ("is_encoder_decoder", json!(false)),
        ("pruned_heads", json!({})),
    ] {
        fields.only(key, &[neutral, Value::Null])?;
    }
    fields.ignore(NEUTRAL);
    let hidden = fields.opt_u32("hidden_size")?.unwrap_or(4096);
    let heads = fields.opt_u32("num_attention_heads")?.unwrap_or(32);
    let layers = fields.opt_u32("num_hidden_layers")?.unwrap_or(32);
    fields.each_only("layer_types", &json!("full_attention"))?;
    // MistralConfig: null means as many as there are query heads, absent means 8.
    let default_kv = if fields.is_null("num_key_value_heads") {
        heads
    } else {
        8
    };
    Ok(TextConfig {
        block_count: layers,
        embedding_length: hidden,
        feed_forward_length: fields.opt_u32("intermediate_size")?.unwrap_or(14336),
        head_count: heads,
        head_count_kv: fields.opt_u32("num_key_value_heads")?.unwrap_or(default_kv),
        head_dim: match fields.opt_u32("head_dim")? {
            Some(head_dim) => head_dim,
            None => quotient(fields, hidden, heads)?,
        },
        vocab_size: fields.opt_u32("vocab_size")?.unwrap_or(32000),
        context_length: context_length([fields.opt_u32("max_position_embeddings")?, None, None]),
        rope_theta: rope_theta(fields, "default")?,
        norm_eps: fields.opt_f32("rms_norm_eps")?.unwrap_or(1e-6),
    })
}

/// What [`VisionConfig`] takes from the outermost object.
struct Outer {
    adapter_bias: bool,
    image: u32,
    image_break: u32,
    image_end: u32,
}

fn vision_config(fields: &mut Fields<'_>, outer: &Outer) -> Result<VisionConfig> {
    fields.only_with_default(
        "model_type",
        json!("clip_vision_model"),
        LLAVA,
        &[json!("pixtral")],
    )?;
    fields.only_with_default("hidden_act", json!("gelu"), PIXTRAL, &[json!("silu")])?;
    for (key, neutral) in [
        ("quantization_config", Value::Null),
        ("add_cross_attention", json!(false)),
        ("is_encoder_decoder", json!(false)),
        ("pruned_heads", json!({})),
        ("spatial_merge_size", json!(1)),
    ] {
        fields.only(key, &[neutral, Value::Null])?;
    }
    fields.ignore(NEUTRAL);
    // The tower has no output words to tie.
    fields.ignore(&["tie_word_embeddings"]);
    let hidden = fields.opt_u32("hidden_size")?.unwrap_or(1024);
    let heads = fields.opt_u32("num_attention_heads")?.unwrap_or(16);
    let head_dim = quotient(fields, hidden, heads)?;
    if let Some(stated) = fields.opt_u32("head_dim")?
        && stated != head_dim
    {
        let reason = format!("but hidden_size / num_attention_heads is {head_dim}");
        return Err(fields.contradiction("head_dim", stated, &reason));
    }
    Ok(VisionConfig {
        block_count: fields.opt_u32("num_hidden_layers")?.unwrap_or(24),
        embedding_length: hidden,
        feed_forward_length: fields.opt_u32("intermediate_size")?.unwrap_or(4096),
        head_count: heads,
        image_size: fields.opt_side("image_size")?.unwrap_or(1024),
        patch_size: fields.opt_side("patch_size")?.unwrap_or(16),
        num_channels: fields.opt_u32("num_channels")?.unwrap_or(3),
        rope_theta: rope_theta(fields, "axial")?,
        // Written into transformers' modeling_pixtral.py, not into config.json.
        norm_eps: 1e-5,
        adapter_bias: outer.adapter_bias,
        image_token_id: outer.image,
        image_break_token_id: outer.image_break,
        image_end_token_id: outer.image_end,
    })
}

/// `hidden_size / num_attention_heads`, the default of a head's size.
fn quotient(fields: &Fields<'_>, hidden: u32, heads: u32) -> Result<u32> {
    hidden
        .checked_div(heads)
        .ok_or_else(|| fields.contradiction("num_attention_heads", heads, "expected at least 1"))
}

/// The base of the rotary frequencies: a field of its own up to transformers 4, of
/// `rope_parameters` from version 5 on, where `rope_type` names its plain form `plain`.
fn rope_theta(fields: &mut Fields<'_>, plain: &str) -> Result<f32> {
    fields.only("rope_scaling", &[Value::Null])?;
    let own = fields.opt_f32("rope_theta")?;
    let Some(mut rope) = fields.object("rope_parameters")? else {
        return Ok(own.unwrap_or(1e4));
    };
    rope.only("rope_type", &[json!(plain), json!("default")])?;
    rope.only(
        "partial_rotary_factor",
        &[json!(1.0), json!(1), Value::Null],
    )?;
    let theta = rope.opt_f32("rope_theta")?.or(own).unwrap_or(1e4);
    rope.refuse_others()?;
    Ok(theta)
}
