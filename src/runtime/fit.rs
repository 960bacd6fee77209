//! What a machine can run: from the sizes of a model's parts, a machine's memory and its bandwidth
//! to the longest conversation, the pictures in it and the speed to expect. Arithmetic alone: it
//! opens no file and asks no machine.

use super::KvType;
use crate::{
    config::{Config, Group, TensorSpec, inventory},
    preprocess::Patches,
};

/// Part of the memory's bandwidth that decoding reaches: 27 of 33 GB/s (docs/SPEED.md).
const EFFICIENCY: f64 = 0.8;

/// Contexts shorter than this are not worth having: a small picture and an answer.
const LEAST_CTX: u64 = 1024;

/// Tokens set aside for question and answer when pictures are counted.
const TEXT_TOKENS: u64 = 512;

/// Bytes of a model's weights by what they are for.
#[derive(Clone, Debug, PartialEq)]
pub struct Footprint {
    /// The model's shape.
    pub config: Config,
    /// Vision tower and projector: read once a picture.
    pub vision: u64,
    /// Token embedding: one row of it is read a token.
    pub embedding: u64,
    /// Decoder layers, final norm and output matrix: all of it is read for each token.
    pub decoder: u64,
}

impl Footprint {
    /// Adds up what `n_bytes` says of each tensor of a model of shape `config`.
    pub fn new(config: &Config, n_bytes: impl Fn(&TensorSpec) -> u64) -> Self {
        let mut footprint = Self {
            config: config.clone(),
            vision: 0,
            embedding: 0,
            decoder: 0,
        };
        for spec in inventory(config) {
            *match spec.group {
                Group::Vision => &mut footprint.vision,
                Group::Embedding => &mut footprint.embedding,
                Group::Block(_) | Group::Output => &mut footprint.decoder,
            } += n_bytes(&spec);
        }
        footprint
    }

    /// All weights.
    pub fn weights(&self) -> u64 {
        self.vision + self.embedding + self.decoder
    }

    /// Bytes of weights that computing one token reads.
    pub fn bytes_per_token(&self) -> u64 {
        self.decoder + self.embedding / u64::from(self.config.text.vocab_size)
    }

    /// Working memory of reading prompts in batches of `n_batch` tokens and of encoding a picture of
    /// the largest size, with the rows that it becomes. The widest moment of a layer: the two halves
    /// of its feed-forward network, the residual stream and its norm, in f32.
    fn working(&self, n_batch: u64) -> u64 {
        let (text, vision) = (&self.config.text, &self.config.vision);
        let widest = |ffn: u32, dim: u32| 4 * 2 * (u64::from(ffn) + u64::from(dim));
        let logits = 4 * u64::from(text.vocab_size);
        let n_patches = self.largest_picture().n_patches() as u64;
        let rows = 4 * n_patches * u64::from(text.embedding_length);
        n_batch * widest(text.feed_forward_length, text.embedding_length)
            + logits
            + n_patches * widest(vision.feed_forward_length, vision.embedding_length)
            + rows
    }

    /// The grid of a square picture of the largest size.
    fn largest_picture(&self) -> Patches {
        let vision = &self.config.vision;
        let side = vision.image_size.div_ceil(vision.patch_size);
        Patches {
            rows: side,
            cols: side,
        }
    }
}

/// A machine, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Bytes of memory that a model may take.
    pub memory: u64,
    /// Bytes that all cores together read from memory in a second.
    pub bandwidth: f64,
}

/// What of a model stays in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resident {
    /// All of it.
    All,
    /// The decoder; vision tower and embedding are read from the disk again when they are needed.
    Decoder,
    /// Not even the decoder: each token would be read from the disk.
    Nothing,
}

/// What a machine can do with a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// What of the model stays in memory.
    pub resident: Resident,
    /// Longest conversation in tokens; 0 if nothing is resident.
    pub n_ctx: u64,
    /// Tokens of the largest square picture that fits into it beside some text.
    pub picture_tokens: u64,
    /// Pictures of that size that fit into it.
    pub n_pictures: u64,
    /// Tokens a second that can be expected at the start of a conversation.
    pub tokens_per_s: f64,
    /// The same when the context is full.
    pub tokens_per_s_full: f64,
}

/// What `machine` can do with the model of this `footprint`, keys and values stored as `kv_type` and
/// prompts read in batches of `n_batch` tokens.
pub fn fit(footprint: &Footprint, machine: &Machine, kv_type: KvType, n_batch: u64) -> Fit {
    let text = &footprint.config.text;
    let kv_per_token = kv_type.bytes_per_token(text);
    let working = footprint.working(n_batch);
    let n_ctx_beside = |weights: u64| {
        let left = machine.memory.saturating_sub(weights + working);
        (left / kv_per_token).min(u64::from(text.context_length))
    };
    // Room for a large picture is worth more than a vision tower that is there at once.
    let picture = footprint.largest_picture().n_tokens() as u64 + TEXT_TOKENS;
    let enough = |n_ctx: u64, least: u64| n_ctx >= least.min(u64::from(text.context_length));
    let all = n_ctx_beside(footprint.weights());
    let decoder = n_ctx_beside(footprint.decoder);
    let (resident, n_ctx) = if enough(all, picture) {
        (Resident::All, all)
    } else if enough(decoder, LEAST_CTX) {
        (Resident::Decoder, decoder)
    } else {
        (Resident::Nothing, 0)
    };
    let picture_tokens = picture_tokens(footprint, n_ctx);
    let tokens_per_s = |n_past: u64| {
        let bytes = footprint.bytes_per_token() + n_past * kv_per_token;
        EFFICIENCY * machine.bandwidth / bytes as f64
    };
    let possible = resident != Resident::Nothing;
    Fit {
        resident,
        n_ctx,
        picture_tokens,
        n_pictures: match picture_tokens {
            0 => 0,
            tokens => n_ctx.saturating_sub(TEXT_TOKENS) / tokens,
        },
        tokens_per_s: if possible { tokens_per_s(0) } else { 0.0 },
        tokens_per_s_full: if possible { tokens_per_s(n_ctx) } else { 0.0 },
    }
}

/// Tokens of the largest square picture that leaves room for some text in `n_ctx` tokens.
fn picture_tokens(footprint: &Footprint, n_ctx: u64) -> u64 {
    let room = n_ctx.saturating_sub(TEXT_TOKENS);
    (1..=footprint.largest_picture().rows)
        .map(|side| Patches {
            rows: side,
            cols: side,
        })
        .map(|grid| grid.n_tokens() as u64)
        .take_while(|&tokens| tokens <= room)
        .last()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;
    const KV_TYPES: [KvType; 3] = [KvType::F16, KvType::Q8_0, KvType::F32];

    /// Pixtral-12B with weights of `bits` bits each.
    fn footprint(bits: u64) -> Footprint {
        Footprint::new(&Config::pixtral_12b(), |spec| spec.n_elements() * bits / 8)
    }

    fn machine(memory: u64) -> Machine {
        Machine {
            memory,
            bandwidth: 10e9,
        }
    }

    /// Everything that `fit` says must be in memory at once.
    fn needed(footprint: &Footprint, fit: &Fit, kv_type: KvType, n_batch: u64) -> u64 {
        let weights = match fit.resident {
            Resident::All => footprint.weights(),
            Resident::Decoder => footprint.decoder,
            Resident::Nothing => 0,
        };
        let cache = fit.n_ctx * kv_type.bytes_per_token(&footprint.config.text);
        weights + cache + footprint.working(n_batch)
    }

    #[test]
    fn all_weights_are_counted_once() {
        let footprint = footprint(8);
        let n: u64 = inventory(&footprint.config)
            .iter()
            .map(TensorSpec::n_elements)
            .sum();
        assert_eq!(footprint.weights(), n);
        assert!(footprint.bytes_per_token() < footprint.weights() - footprint.vision);
    }

    #[test]
    fn generating_is_as_fast_as_memory_is_read() {
        let footprint = footprint(4);
        let fit = fit(&footprint, &machine(64 * GIB), KvType::F16, 512);
        let bytes = fit.tokens_per_s * footprint.bytes_per_token() as f64;
        assert!((bytes - EFFICIENCY * 10e9).abs() < 1.0);
        assert!(fit.tokens_per_s_full < fit.tokens_per_s);
    }

    #[test]
    fn a_large_machine_holds_the_whole_context_and_its_pictures() {
        let fit = fit(&footprint(4), &machine(64 * GIB), KvType::F16, 512);
        assert_eq!(fit.resident, Resident::All);
        assert_eq!(fit.n_ctx, 131_072);
        assert_eq!(fit.picture_tokens, 64 * 65);
        assert_eq!(fit.n_pictures, (131_072 - TEXT_TOKENS) / (64 * 65));
    }

    #[test]
    fn between_fitting_and_not_the_decoder_alone_stays() {
        let footprint = footprint(4);
        let enough = footprint.weights() + footprint.working(512);
        let kinds = [enough + GIB, enough, footprint.decoder / 2]
            .map(|memory| fit(&footprint, &machine(memory), KvType::F16, 512).resident);
        assert_eq!(kinds, [Resident::All, Resident::Decoder, Resident::Nothing]);
        let none = fit(&footprint, &machine(GIB), KvType::F16, 512);
        assert_eq!((none.n_ctx, none.n_pictures), (0, 0));
        assert_eq!(none.tokens_per_s, 0.0);
    }

    proptest! {
        #[test]
        fn what_fits_is_within_memory_and_more_memory_never_fits_less(
            bits in 2u64..=16,
            memory in 0..40 * GIB,
            more in 0..8 * GIB,
            kv in 0usize..3,
            n_batch in 1u64..2048,
        ) {
            let (footprint, kv_type) = (footprint(bits), KV_TYPES[kv]);
            let small = fit(&footprint, &machine(memory), kv_type, n_batch);
            prop_assert!(
                small.resident == Resident::Nothing
                    || needed(&footprint, &small, kv_type, n_batch) <= memory
            );
            let large = fit(&footprint, &machine(memory + more), kv_type, n_batch);
            let rank = |fit: &Fit| match fit.resident {
                Resident::Nothing => 0,
                Resident::Decoder => 1,
                Resident::All => 2,
            };
            prop_assert!(rank(&large) >= rank(&small));
            if large.resident == small.resident {
                prop_assert!(large.n_ctx >= small.n_ctx);
            }
            let pictures = small.n_pictures * small.picture_tokens;
            prop_assert!(pictures <= small.n_ctx.saturating_sub(TEXT_TOKENS));
        }
    }
}
