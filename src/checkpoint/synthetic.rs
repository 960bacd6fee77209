//! A model of random weights in any shape, as a source for the converter and for benchmarks: no
//! files are needed, the weights are made as they are read.

use super::image_ids::ImageIds;
use super::random::RandomRows;
use super::source::{Dtype, Format, TensorRows, TensorSource, check_rows};
use super::{hex, mistral, vocabulary};
use crate::config::{Config, Role, TensorSpec};
use crate::tokenizer::Tokenizer;
use crate::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::ops::Range;

/// A model of random weights.
///
/// Their scale keeps activations near 1 through all layers: linear maps have the deviation
/// 1/√(inputs), gains are near 1, embeddings have the deviation 1. Every value is a bf16, and
/// depends on the seed, the tensor's name and its place alone.
pub struct Synthetic {
    config: Config,
    seed: u64,
    params: Vec<u8>,
    params_sha256: String,
    tekken: Vec<u8>,
    tokenizer: Tokenizer,
}

impl Synthetic {
    /// A model of shape `config` with an invented vocabulary: the 256 bytes and words of lower-case
    /// letters. Fails with `InvalidArgument` if params.json cannot express the shape.
    pub fn new(config: Config, seed: u64) -> Result<Self> {
        let tekken = vocabulary::tekken_json(config.text.vocab_size)?;
        Self::with_tekken(config, seed, "synthetic tekken.json", tekken)
    }

    /// The same with the vocabulary of `tekken`, the contents of the tekken.json called `name`.
    pub fn with_tekken(config: Config, seed: u64, name: &str, tekken: Vec<u8>) -> Result<Self> {
        config.validate()?;
        let tokenizer = Tokenizer::from_tekken(name, &tekken)?;
        if tokenizer.vocab_size() != config.text.vocab_size {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{name}: has {} tokens, expected {} as the model",
                    tokenizer.vocab_size(),
                    config.text.vocab_size
                ),
            ));
        }
        let json = params_json(&config);
        let ids = ImageIds {
            tokenizer: Some((&tokenizer, name)),
        };
        let read_back = mistral::config("params.json", &json, &ids, &mut Vec::new())?;
        if read_back != config {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "params.json cannot express this shape: {config:?} would become {read_back:?}"
                ),
            ));
        }
        let params = format!("{json:#}\n").into_bytes();
        Ok(Self {
            config,
            seed,
            params_sha256: hex(&Sha256::digest(&params)),
            params,
            tekken,
            tokenizer,
        })
    }

    /// Its params.json.
    pub(super) fn params(&self) -> &[u8] {
        &self.params
    }

    /// Its tekken.json.
    pub(super) fn tekken(&self) -> &[u8] {
        &self.tekken
    }

    /// The tensor `spec`, of whatever dimensions.
    pub(super) fn rows(&self, spec: &TensorSpec) -> SyntheticTensor {
        let inputs = match spec.role {
            // A patch is three dimensions of its input.
            Role::PatchEmbedding => spec.dims[..3].iter().product(),
            _ => spec.dims[0],
        };
        let (mean, std) = match spec.role {
            Role::Norm => (1.0, 0.1),
            Role::Bias => (0.0, 0.02),
            Role::TokenEmbedding => (0.0, 1.0),
            _ => (0.0, 1.0 / (inputs as f32).sqrt()),
        };
        SyntheticTensor {
            random: RandomRows::new(self.seed, &spec.name, mean, std),
            n_rows: spec.n_rows(),
            row_len: spec.dims[0] as usize,
        }
    }
}

impl TensorSource for Synthetic {
    fn format(&self) -> Format {
        Format::Synthetic
    }

    fn config(&self) -> &Config {
        &self.config
    }

    fn config_sha256(&self) -> &str {
        &self.params_sha256
    }

    fn notes(&self) -> &[String] {
        &[]
    }

    fn tokenizer(&self) -> Result<Tokenizer> {
        Ok(self.tokenizer.clone())
    }

    fn tensor<'a>(&'a self, spec: &TensorSpec) -> Result<Box<dyn TensorRows + 'a>> {
        Ok(Box::new(self.rows(spec)))
    }
}

/// A tensor of a [`Synthetic`] model.
pub(super) struct SyntheticTensor {
    random: RandomRows,
    n_rows: u64,
    row_len: usize,
}

impl TensorRows for SyntheticTensor {
    fn dtype(&self) -> Dtype {
        Dtype::BF16
    }

    fn n_rows(&self) -> u64 {
        self.n_rows
    }

    fn row_len(&self) -> usize {
        self.row_len
    }

    fn read_rows(&self, rows: Range<u64>, out: &mut [f32]) -> Result<()> {
        check_rows(self, &rows, out)?;
        for (row, out) in rows.zip(out.chunks_exact_mut(self.row_len)) {
            self.random.fill(row, out);
        }
        Ok(())
    }
}

/// params.json of a model of shape `config`.
fn params_json(config: &Config) -> Value {
    let (t, v) = (&config.text, &config.vision);
    json!({
        "dim": t.embedding_length,
        "n_layers": t.block_count,
        "head_dim": t.head_dim,
        "hidden_dim": t.feed_forward_length,
        "n_heads": t.head_count,
        "n_kv_heads": t.head_count_kv,
        "rope_theta": shortest(t.rope_theta),
        "norm_eps": shortest(t.norm_eps),
        "vocab_size": t.vocab_size,
        "max_position_embeddings": t.context_length,
        "vision_encoder": {
            "hidden_size": v.embedding_length,
            "num_channels": v.num_channels,
            "image_size": v.image_size,
            "patch_size": v.patch_size,
            "rope_theta": shortest(v.rope_theta),
            "intermediate_size": v.feed_forward_length,
            "num_hidden_layers": v.block_count,
            "num_attention_heads": v.head_count,
            "adapter_bias": v.adapter_bias,
            "image_token_id": v.image_token_id,
            "image_break_token_id": v.image_break_token_id,
            "image_end_token_id": v.image_end_token_id,
        },
    })
}

/// The shortest decimal that reads back as `value`: 1e-5, not 9.999999747378752e-6.
fn shortest(value: f32) -> f64 {
    value
        .to_string()
        .parse()
        .unwrap_or_else(|_| f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::inventory;

    #[test]
    fn a_full_size_model_is_made_without_files() {
        let source = Synthetic::new(Config::pixtral_12b(), 7).unwrap();
        assert_eq!(source.tokenizer().unwrap().vocab_size(), 131_072);
        for spec in &inventory(source.config())[..] {
            let tensor = source.tensor(spec).unwrap();
            assert_eq!(tensor.n_bytes(), 2 * spec.n_elements());
            let mut row = vec![0.0; tensor.row_len()];
            let last = tensor.n_rows() - 1;
            tensor.read_rows(last..last + 1, &mut row).unwrap();
            let expected = match spec.role {
                Role::Norm => 1.0,
                Role::TokenEmbedding => 1.0,
                Role::Bias => 0.02,
                Role::PatchEmbedding => 1.0 / 768f32.sqrt(),
                _ => 1.0 / (spec.dims[0] as f32).sqrt(),
            };
            let rms = (row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32).sqrt();
            assert!(
                (0.5..1.5).contains(&(rms / expected)),
                "{}: {rms}",
                spec.name
            );
        }
    }

    #[test]
    fn a_shape_that_params_json_cannot_express_is_refused() {
        let mut config = Config::pixtral_12b();
        config.text.context_length = 200_000;
        let e = Synthetic::new(config, 0).err().unwrap();
        assert_eq!(e.kind(), ErrorKind::InvalidArgument);
        let mut config = Config::pixtral_12b();
        config.text.vocab_size = 200;
        let e = Synthetic::new(config, 0).err().unwrap();
        assert!(e.message().contains("vocabulary of 200"), "{e}");
    }

    #[test]
    fn rows_that_do_not_fit_are_an_error() {
        let source = Synthetic::new(Config::pixtral_12b(), 7).unwrap();
        let tensor = source.tensor(&inventory(source.config())[1]).unwrap();
        let mut out = vec![0.0; tensor.row_len()];
        assert!(tensor.read_rows(1..2, &mut out).is_err());
        assert!(tensor.read_rows(0..1, &mut out[1..]).is_err());
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = tensor.read_rows(1..0, &mut []);
        assert!(reversed.is_err());
    }
}
