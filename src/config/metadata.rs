//! A model's shape as keys of a GGUF file, and back. The keys are llama.cpp's under our own
//! architecture name: `pixtral.*` for its `{arch}.*`, `pixtral.vision.*` for its `clip.vision.*`.
//!
//! It uses the container's key-value list and no file.

use super::{Config, TextConfig, VisionConfig};
use crate::gguf::{ARCHITECTURE_KEY, Metadata};
use crate::{Error, ErrorKind, Result};

/// The value of `general.architecture` in our files, and the prefix of the keys of the shape.
pub const ARCHITECTURE: &str = "pixtral";

impl Config {
    /// Writes the shape, and `general.architecture`, into `metadata`.
    pub fn to_metadata(&self, metadata: &mut Metadata) {
        metadata.insert(ARCHITECTURE_KEY, ARCHITECTURE);
        text_to_metadata(&self.text, metadata);
        vision_to_metadata(&self.vision, self.text.embedding_length, metadata);
    }

    /// Reads the shape of a model from `metadata` and [validates](Self::validate) it.
    ///
    /// # Errors
    /// `UnsupportedModel` if the file is of another model or the shape is impossible,
    /// `InvalidFile` if a key is missing or of a wrong type.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self> {
        check_architecture(metadata)?;
        let text = text_from_metadata(metadata)?;
        let vision = vision_from_metadata(metadata)?;
        let config = Self { text, vision };
        config.validate()?;
        // Values that repeat another one, for readers who know llama.cpp's keys.
        let head_dim = config.text.head_dim;
        for (name, expected) in [
            ("attention.value_length", head_dim),
            ("rope.dimension_count", head_dim),
            ("vision.projection_dim", config.text.embedding_length),
        ] {
            let found = metadata.u32(&key(name))?;
            if found != expected {
                return Err(unsupported(format!(
                    "{} is {found}, expected {expected}",
                    key(name)
                )));
            }
        }
        Ok(config)
    }
}

fn key(name: &str) -> String {
    format!("{ARCHITECTURE}.{name}")
}

fn text_to_metadata(t: &TextConfig, metadata: &mut Metadata) {
    let mut set = |name, value: u32| metadata.insert(key(name), value);
    set("vocab_size", t.vocab_size);
    set("context_length", t.context_length);
    set("embedding_length", t.embedding_length);
    set("block_count", t.block_count);
    set("feed_forward_length", t.feed_forward_length);
    set("attention.head_count", t.head_count);
    set("attention.head_count_kv", t.head_count_kv);
    set("attention.key_length", t.head_dim);
    set("attention.value_length", t.head_dim);
    set("rope.dimension_count", t.head_dim);
    metadata.insert(key("attention.layer_norm_rms_epsilon"), t.norm_eps);
    metadata.insert(key("rope.freq_base"), t.rope_theta);
}

fn text_from_metadata(metadata: &Metadata) -> Result<TextConfig> {
    let get = |name| metadata.u32(&key(name));
    Ok(TextConfig {
        block_count: get("block_count")?,
        embedding_length: get("embedding_length")?,
        feed_forward_length: get("feed_forward_length")?,
        head_count: get("attention.head_count")?,
        head_count_kv: get("attention.head_count_kv")?,
        head_dim: get("attention.key_length")?,
        vocab_size: get("vocab_size")?,
        context_length: get("context_length")?,
        rope_theta: metadata.f32(&key("rope.freq_base"))?,
        norm_eps: metadata.f32(&key("attention.layer_norm_rms_epsilon"))?,
    })
}

fn vision_to_metadata(v: &VisionConfig, projection_dim: u32, metadata: &mut Metadata) {
    let mut set = |name, value: u32| metadata.insert(key(name), value);
    set("vision.image_size", v.image_size);
    set("vision.patch_size", v.patch_size);
    set("vision.num_channels", v.num_channels);
    set("vision.embedding_length", v.embedding_length);
    set("vision.block_count", v.block_count);
    set("vision.feed_forward_length", v.feed_forward_length);
    set("vision.projection_dim", projection_dim);
    set("vision.attention.head_count", v.head_count);
    set("vision.image_token_id", v.image_token_id);
    set("vision.image_break_token_id", v.image_break_token_id);
    set("vision.image_end_token_id", v.image_end_token_id);
    metadata.insert(key("vision.attention.layer_norm_epsilon"), v.norm_eps);
    metadata.insert(key("vision.rope.freq_base"), v.rope_theta);
    metadata.insert(key("vision.adapter_bias"), v.adapter_bias);
}

fn vision_from_metadata(metadata: &Metadata) -> Result<VisionConfig> {
    let get = |name| metadata.u32(&key(name));
    Ok(VisionConfig {
        block_count: get("vision.block_count")?,
        embedding_length: get("vision.embedding_length")?,
        feed_forward_length: get("vision.feed_forward_length")?,
        head_count: get("vision.attention.head_count")?,
        image_size: get("vision.image_size")?,
        patch_size: get("vision.patch_size")?,
        num_channels: get("vision.num_channels")?,
        rope_theta: metadata.f32(&key("vision.rope.freq_base"))?,
        norm_eps: metadata.f32(&key("vision.attention.layer_norm_epsilon"))?,
        adapter_bias: metadata.bool(&key("vision.adapter_bias"))?,
        image_token_id: get("vision.image_token_id")?,
        image_break_token_id: get("vision.image_break_token_id")?,
        image_end_token_id: get("vision.image_end_token_id")?,
    })
}

fn check_architecture(metadata: &Metadata) -> Result<()> {
    if !metadata.contains(ARCHITECTURE_KEY) {
        return Err(unsupported(format!(
            "the file does not say of what model it is ({ARCHITECTURE_KEY} is missing); \
             convert the checkpoint with pixtral-quantize"
        )));
    }
    let what = match metadata.str(ARCHITECTURE_KEY)? {
        ARCHITECTURE => return Ok(()),
        "clip" => "this is the vision half of llama.cpp's pair of files (mmproj)".to_owned(),
        "llama" => {
            "this is a text model in llama.cpp's form, perhaps the text half of its pair of files"
                .to_owned()
        }
        other => format!("this is a model of architecture \"{other}\""),
    };
    Err(unsupported(format!(
        "{what}, expected one file with both halves of Pixtral; convert the checkpoint with pixtral-quantize"
    )))
}

fn unsupported(message: String) -> Error {
    Error::new(ErrorKind::UnsupportedModel, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        let mut metadata = Metadata::new();
        Config::pixtral_12b().to_metadata(&mut metadata);
        metadata
    }

    #[test]
    fn a_shape_survives_the_way_through_metadata() {
        let config = Config::from_metadata(&metadata()).unwrap();
        assert_eq!(config, Config::pixtral_12b());
    }

    #[test]
    fn every_field_has_a_key_of_its_own() {
        // Distinct values everywhere, so that no two fields can share a key unnoticed.
        let mut config = Config::pixtral_12b();
        config.text.context_length = 4096;
        config.text.head_dim = 64;
        config.vision.rope_theta = 123.0;
        config.vision.norm_eps = 1e-6;
        config.vision.adapter_bias = false;
        config.vision.feed_forward_length = 4095;
        let mut metadata = Metadata::new();
        config.to_metadata(&mut metadata);
        assert_eq!(Config::from_metadata(&metadata).unwrap(), config);
    }

    #[test]
    fn every_key_is_needed() {
        let all = metadata();
        for (key, _) in all.iter() {
            let mut m = all.clone();
            m.remove(key);
            let e = Config::from_metadata(&m).unwrap_err();
            assert!(e.message().contains(key), "{key}: {e}");
        }
    }

    #[test]
    fn files_of_other_models_are_named() {
        for (name, expected) in [
            ("clip", "mmproj"),
            ("llama", "text half"),
            ("qwen2vl", "\"qwen2vl\""),
        ] {
            let mut m = metadata();
            m.insert(ARCHITECTURE_KEY, name);
            let e = Config::from_metadata(&m).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::UnsupportedModel);
            assert!(e.message().contains(expected), "{e}");
            assert!(e.message().contains("pixtral-quantize"), "{e}");
        }
    }

    #[test]
    fn impossible_and_contradicting_shapes_are_refused() {
        for (name, value, expected) in [
            ("attention.head_count_kv", 5, "head_count_kv 5"),
            ("attention.value_length", 64, "attention.value_length is 64"),
            ("vision.projection_dim", 1, "vision.projection_dim is 1"),
        ] {
            let mut m = metadata();
            m.insert(key(name), value);
            let e = Config::from_metadata(&m).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::UnsupportedModel);
            assert!(e.message().contains(expected), "{e}");
        }
    }
}
