//! The vision half: metadata of llama.cpp's architecture "clip" with the projector "pixtral", and
//! the one tensor that our file keeps elsewhere.

use super::{Data, general, planned};
use crate::config::Config;
use crate::ggml::quantize::dequantize_rows;
use crate::gguf::{ARCHITECTURE_KEY, File, Metadata, PlannedTensor, TensorType};
use crate::preprocess::{MEAN, STD};
use crate::{Error, ErrorKind, Result};

/// What clip.cpp takes for the rotary base of this projector, whatever a file says.
const ROPE_THETA: f32 = 1e4;

/// Name of the embedding that the vision graph itself puts behind each row of patches
/// (`TN_TOK_IMG_BREAK` in clip-impl.h).
const IMAGE_BREAK: &str = "v.token_embd.img_break";

/// The keys that `load_hparams` in clip.cpp reads for this projector. Without
/// `clip.vision.spatial_merge_size` patches are not merged.
///
/// # Errors
/// `UnsupportedModel` if the tower has another rotary base than clip.cpp takes for granted.
pub(super) fn metadata(config: &Config, ours: &Metadata) -> Result<Metadata> {
    let v = &config.vision;
    if v.rope_theta != ROPE_THETA {
        return Err(Error::new(
            ErrorKind::UnsupportedModel,
            format!(
                "the vision tower's rotary base is {}: llama.cpp can only run {ROPE_THETA}",
                v.rope_theta
            ),
        ));
    }
    let mut metadata = Metadata::new();
    metadata.insert(ARCHITECTURE_KEY, "clip");
    metadata.insert("general.type", "mmproj");
    general(ours, &mut metadata);
    metadata.insert("clip.has_vision_encoder", true);
    metadata.insert("clip.projector_type", "pixtral");
    metadata.insert("clip.use_silu", true);
    for (name, value) in [
        ("image_size", v.image_size),
        ("patch_size", v.patch_size),
        ("embedding_length", v.embedding_length),
        ("feed_forward_length", v.feed_forward_length),
        ("block_count", v.block_count),
        ("projection_dim", config.text.embedding_length),
        ("attention.head_count", v.head_count),
    ] {
        metadata.insert(format!("clip.vision.{name}"), value);
    }
    metadata.insert("clip.vision.attention.layer_norm_epsilon", v.norm_eps);
    metadata.insert("clip.vision.image_mean", MEAN.to_vec());
    metadata.insert("clip.vision.image_std", STD.to_vec());
    Ok(metadata)
}

/// The embedding of [IMG_BREAK] as f32: its row of the token embedding. f32, since the graph adds it to
/// f32 values.
pub(super) fn image_break<'a>(file: &File, config: &Config) -> Result<(PlannedTensor, Data<'a>)> {
    let embedding = file.tensor("token_embd.weight")?;
    let row_len = config.text.embedding_length as usize;
    let row_bytes = (embedding.n_bytes / embedding.n_rows()) as usize;
    // A valid config has its image ids within the vocabulary.
    let start = config.vision.image_break_token_id as usize * row_bytes;
    let row = &file.data(embedding)[start..start + row_bytes];
    let mut values = vec![0.0; row_len];
    dequantize_rows(embedding.ty.into(), row, row_len, &mut values)?;
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let planned = planned(IMAGE_BREAK, TensorType::F32, &[row_len as u64]);
    Ok((planned, Data::Made(bytes)))
}
