//! What each tensor of [`inventory`](crate::config::inventory) is called in a checkpoint, and
//! which rows the Hugging Face layout keeps in another order. Knows names only, no files.

use super::Format;
use crate::config::{Config, Group, Role, TensorSpec};
use std::borrow::Cow;

/// Our name, Mistral's, Hugging Face's.
type Names = (&'static str, &'static str, &'static str);

/// Tensors outside of the layers.
const SINGLE: [Names; 6] = [
    (
        "v.patch_embd",
        "vision_encoder.patch_conv",
        "vision_tower.patch_conv",
    ),
    ("v.pre_ln", "vision_encoder.ln_pre", "vision_tower.ln_pre"),
    (
        "mm.1",
        "vision_language_adapter.w_in",
        "multi_modal_projector.linear_1",
    ),
    (
        "mm.2",
        "vision_language_adapter.w_out",
        "multi_modal_projector.linear_2",
    ),
    (
        "token_embd",
        "tok_embeddings",
        "language_model.model.embed_tokens",
    ),
    ("output_norm", "norm", "language_model.model.norm"),
];

/// The output matrix, apart from [`SINGLE`] only because its name is its own prefix in one layout.
const OUTPUT: Names = ("output", "output", "language_model.lm_head");

/// Prefixes of the layers: the vision tower's and the decoder's.
const VISION_LAYER: Names = (
    "v.blk.",
    "vision_encoder.transformer.layers.",
    "vision_tower.transformer.layers.",
);
const TEXT_LAYER: Names = ("blk.", "layers.", "language_model.model.layers.");

/// Tensors of a layer of the vision tower.
const VISION_BLOCK: [Names; 9] = [
    ("ln1", "attention_norm", "attention_norm"),
    ("attn_q", "attention.wq", "attention.q_proj"),
    ("attn_k", "attention.wk", "attention.k_proj"),
    ("attn_v", "attention.wv", "attention.v_proj"),
    ("attn_out", "attention.wo", "attention.o_proj"),
    ("ln2", "ffn_norm", "ffn_norm"),
    ("ffn_gate", "feed_forward.w1", "feed_forward.gate_proj"),
    ("ffn_up", "feed_forward.w3", "feed_forward.up_proj"),
    ("ffn_down", "feed_forward.w2", "feed_forward.down_proj"),
];

/// Tensors of a layer of the decoder.
const TEXT_BLOCK: [Names; 9] = [
    ("attn_norm", "attention_norm", "input_layernorm"),
    ("attn_q", "attention.wq", "self_attn.q_proj"),
    ("attn_k", "attention.wk", "self_attn.k_proj"),
    ("attn_v", "attention.wv", "self_attn.v_proj"),
    ("attn_output", "attention.wo", "self_attn.o_proj"),
    ("ffn_norm", "ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "feed_forward.w1", "mlp.gate_proj"),
    ("ffn_up", "feed_forward.w3", "mlp.up_proj"),
    ("ffn_down", "feed_forward.w2", "mlp.down_proj"),
];

/// The name of tensor `ours` (as in [`TensorSpec::name`]) in a checkpoint of `format`, if the
/// layout knows it. For Hugging Face this is the name after [`normalise_hf`].
pub(super) fn name_in(format: Format, ours: &str) -> Option<String> {
    let pick = |names: &Names| match format {
        Format::HuggingFace => names.2,
        Format::Mistral | Format::Synthetic => names.1,
    };
    // The part after the last dot ("weight", "bias") is the same everywhere.
    let (stem, kind) = ours.rsplit_once('.')?;
    for (layer, block) in [(VISION_LAYER, &VISION_BLOCK), (TEXT_LAYER, &TEXT_BLOCK)] {
        if let Some(rest) = stem.strip_prefix(layer.0) {
            let (index, tensor) = rest.split_once('.')?;
            let names = block.iter().find(|names| names.0 == tensor)?;
            return Some(format!("{}{index}.{}.{kind}", pick(&layer), pick(names)));
        }
    }
    let names = SINGLE
        .iter()
        .chain([&OUTPUT])
        .find(|names| names.0 == stem)?;
    Some(format!("{}.{kind}", pick(names)))
}

/// The older of the two Hugging Face spellings of a tensor's name. Transformers 4.52 moved
/// everything but the output matrix under `model.` (its `LlavaForConditionalGeneration` holds the
/// list of renamed prefixes); both spellings are found in the wild.
pub(super) fn normalise_hf(name: &str) -> Cow<'_, str> {
    const RENAMED: [(&str, &str); 4] = [
        ("model.language_model.", "language_model.model."),
        ("model.vision_tower.", "vision_tower."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("lm_head.", "language_model.lm_head."),
    ];
    for (new, old) in RENAMED {
        if let Some(rest) = name.strip_prefix(new) {
            return Cow::Owned(format!("{old}{rest}"));
        }
    }
    Cow::Borrowed(name)
}

/// Whether a tensor called `name` (after [`normalise_hf`]) belongs to the model's computation, so
/// that leaving it out would change results. Tables that are computed anyway do not count.
pub(super) fn is_part_of_model(name: &str) -> bool {
    const PREFIXES: [&str; 11] = [
        "layers.",
        "norm.",
        "output.",
        "tok_embeddings.",
        "vision_encoder.",
        "vision_language_adapter.",
        "pre_mm_projector_norm.",
        "patch_merger.",
        "language_model.",
        "vision_tower.",
        "multi_modal_projector.",
    ];
    !name.ends_with("rotary_emb.inv_freq")
        && !name.ends_with("position_ids")
        && PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Heads whose rows the Hugging Face layout reorders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RotaryHeads {
    /// Rows per head.
    head_dim: u64,
}

impl RotaryHeads {
    /// The heads of `spec` if it is a query or key projection in the Hugging Face layout.
    pub fn of(format: Format, config: &Config, spec: &TensorSpec) -> Option<Self> {
        let rotary = matches!(spec.role, Role::AttnQ | Role::AttnK);
        let head_dim = match spec.group {
            Group::Vision => config.vision.head_dim(),
            _ => config.text.head_dim,
        };
        (format == Format::HuggingFace && rotary).then_some(Self {
            head_dim: u64::from(head_dim),
        })
    }

    /// The Hugging Face row that holds canonical row `row`.
    ///
    /// Mistral rotates neighbouring rows (2j, 2j+1) of a head together, Hugging Face's
    /// `rotate_half` rotates rows (j, j + head_dim/2): the same weights, rows exchanged.
    pub fn source_row(self, row: u64) -> u64 {
        let within = row % self.head_dim;
        row - within + (within % 2) * (self.head_dim / 2) + within / 2
    }

    /// The smallest run of whole heads that contains `rows`.
    pub fn whole_heads(self, rows: std::ops::Range<u64>) -> std::ops::Range<u64> {
        let start = rows.start - rows.start % self.head_dim;
        start..rows.end.next_multiple_of(self.head_dim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::inventory;
    use std::collections::HashSet;

    #[test]
    fn every_tensor_has_one_name_of_its_own_in_each_layout() {
        let list = inventory(&Config::pixtral_12b());
        for format in [Format::Mistral, Format::HuggingFace] {
            let names: HashSet<String> = list
                .iter()
                .map(|spec| name_in(format, &spec.name).expect(&spec.name))
                .collect();
            assert_eq!(names.len(), list.len());
            assert!(names.iter().all(|name| is_part_of_model(name)));
        }
    }

    #[test]
    fn both_hugging_face_spellings_meet() {
        for (new, old) in [
            (
                "model.language_model.layers.3.mlp.up_proj.weight",
                "language_model.model.layers.3.mlp.up_proj.weight",
            ),
            ("lm_head.weight", "language_model.lm_head.weight"),
            (
                "model.vision_tower.ln_pre.weight",
                "vision_tower.ln_pre.weight",
            ),
            (
                "model.multi_modal_projector.linear_1.bias",
                "multi_modal_projector.linear_1.bias",
            ),
        ] {
            assert_eq!(normalise_hf(new), old);
            assert_eq!(normalise_hf(old), old);
        }
    }

    #[test]
    fn rotary_rows_are_exchanged_within_their_head() {
        let heads = RotaryHeads { head_dim: 8 };
        let rows: Vec<u64> = (8..16).map(|row| heads.source_row(row)).collect();
        assert_eq!(rows, [8, 12, 9, 13, 10, 14, 11, 15]);
        assert_eq!(heads.whole_heads(9..17), 8..24);
        assert_eq!(heads.whole_heads(8..16), 8..16);
    }
}
