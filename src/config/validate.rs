//! Refuses shapes that no graph could be built for, before anything is allocated from them.

use super::Config;
use crate::{Error, ErrorKind, Result};

/// Largest value accepted for any width or count: far above every real model, far below where
/// products of two of them overflow.
const LIMIT: u32 = 1 << 24;

impl Config {
    /// Checks that the sizes are non-zero, bounded and consistent with each other.
    pub fn validate(&self) -> Result<()> {
        let t = &self.text;
        let v = &self.vision;
        for (field, value) in [
            ("block_count", t.block_count),
            ("embedding_length", t.embedding_length),
            ("feed_forward_length", t.feed_forward_length),
            ("head_count", t.head_count),
            ("head_count_kv", t.head_count_kv),
            ("head_dim", t.head_dim),
            ("vocab_size", t.vocab_size),
            ("context_length", t.context_length),
            ("vision.block_count", v.block_count),
            ("vision.embedding_length", v.embedding_length),
            ("vision.feed_forward_length", v.feed_forward_length),
            ("vision.head_count", v.head_count),
            ("vision.image_size", v.image_size),
            ("vision.patch_size", v.patch_size),
        ] {
            if value == 0 || value > LIMIT {
                return Err(bad(format!("{field} is {value}, expected 1 to {LIMIT}")));
            }
        }
        for (field, value) in [
            ("rope_theta", t.rope_theta),
            ("norm_eps", t.norm_eps),
            ("vision.rope_theta", v.rope_theta),
            ("vision.norm_eps", v.norm_eps),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return Err(bad(format!(
                    "{field} is {value}, expected a positive number"
                )));
            }
        }
        if u64::from(t.head_count) * u64::from(t.head_dim) > u64::from(LIMIT) {
            return Err(bad("head_count × head_dim is too large".into()));
        }
        if !t.head_count.is_multiple_of(t.head_count_kv) {
            return Err(bad(format!(
                "head_count {} is not a multiple of head_count_kv {}",
                t.head_count, t.head_count_kv
            )));
        }
        if !t.head_dim.is_multiple_of(2) {
            return Err(bad(format!(
                "head_dim {} is odd, rotary pairs need it even",
                t.head_dim
            )));
        }
        if !v.embedding_length.is_multiple_of(v.head_count) {
            return Err(bad(format!(
                "vision.embedding_length {} is not a multiple of vision.head_count {}",
                v.embedding_length, v.head_count
            )));
        }
        if !v.head_dim().is_multiple_of(4) {
            return Err(bad(format!(
                "vision head size {} is not a multiple of 4, as its rotary row and column pairs need",
                v.head_dim()
            )));
        }
        if v.num_channels != 3 {
            return Err(bad(format!(
                "vision.num_channels is {}, expected 3",
                v.num_channels
            )));
        }
        if v.patch_size > v.image_size {
            return Err(bad(format!(
                "vision.patch_size {} exceeds vision.image_size {}",
                v.patch_size, v.image_size
            )));
        }
        for (field, id) in [
            ("image_token_id", v.image_token_id),
            ("image_break_token_id", v.image_break_token_id),
            ("image_end_token_id", v.image_end_token_id),
        ] {
            if id >= t.vocab_size {
                return Err(bad(format!(
                    "vision.{field} {id} is outside the vocabulary of {}",
                    t.vocab_size
                )));
            }
        }
        Ok(())
    }
}

fn bad(message: String) -> Error {
    Error::new(
        ErrorKind::UnsupportedModel,
        format!("model shape: {message}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_shape_is_valid() {
        Config::pixtral_12b().validate().unwrap();
    }

    #[test]
    fn contradictions_name_the_field() {
        let mut c = Config::pixtral_12b();
        c.text.head_count_kv = 5;
        assert!(
            c.validate()
                .unwrap_err()
                .message()
                .contains("head_count_kv 5")
        );
        let mut c = Config::pixtral_12b();
        c.vision.embedding_length = 0;
        assert!(
            c.validate()
                .unwrap_err()
                .message()
                .contains("vision.embedding_length is 0")
        );
    }
}
