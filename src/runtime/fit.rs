//! What a machine can run: from the sizes of a model's parts, a machine's memory and its bandwidth
//! to the longest conversation, the pictures in it and the speed to expect. Arithmetic, on sizes that
//! are known or measured on graphs without memory: it opens no file and asks no machine.

use super::{DecoderOptions, KvType, MemoryNeeds, needs::PROCESS};
use crate::{
    Result,
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

/// What running a model takes beside weights, keys and values, by the length of the context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkingMemory {
    /// A short context in tokens, and the bytes at that and any shorter one.
    short: (u64, u64),
    /// The longest context, and the bytes there.
    long: (u64, u64),
}

impl WorkingMemory {
    /// Measures it for a model of shape `config`, run as `options` say, except for the context.
    ///
    /// Errors if the options make no sense for the model.
    pub fn measure(config: &Config, options: &DecoderOptions) -> Result<Self> {
        let at = |n_ctx: u64| -> Result<(u64, u64)> {
            let options = DecoderOptions {
                n_ctx: n_ctx as usize,
                ..*options
            };
            let needs = MemoryNeeds::of_shape(config, &options)?;
            Ok((n_ctx, needs.total() - needs.kv_cache + PROCESS))
        };
        let longest = u64::from(config.text.context_length);
        let (short, long) = (at(LEAST_CTX.min(longest))?, at(longest)?);
        Ok(Self {
            short,
            long: (long.0, long.1.max(short.1)),
        })
    }

    /// Bytes for a context of `n_ctx` tokens. Between the contexts measured they are taken to grow
    /// evenly, as masks do; what does not grow at first needs less than that.
    fn at(&self, n_ctx: u64) -> u64 {
        let ((short, least), (long, most)) = (self.short, self.long);
        if n_ctx <= short {
            return least;
        }
        let part = u128::from(n_ctx - short) * u128::from(most - least);
        least + part.div_ceil(u128::from(long - short)) as u64
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

/// What `machine` can do with the model of this `footprint` and `working` memory, keys and values
/// stored as `kv_type`.
pub fn fit(
    footprint: &Footprint,
    working: &WorkingMemory,
    machine: &Machine,
    kv_type: KvType,
) -> Fit {
    let text = &footprint.config.text;
    let kv_per_token = kv_type.bytes_per_token(text);
    let n_ctx_beside = |weights: u64| {
        let fits = |n: u64| weights + n * kv_per_token + working.at(n) <= machine.memory;
        longest(u64::from(text.context_length), fits)
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

/// The largest number up to `most` that `fits`, if all smaller ones do; 0 if none does.
fn longest(most: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let (mut least, mut most) = (0, most);
    while least < most {
        let middle = most - (most - least) / 2;
        if fits(middle) {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    least
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

    /// As large as measured for Pixtral-12B, about.
    const WORKING: WorkingMemory = WorkingMemory {
        short: (LEAST_CTX, GIB / 2),
        long: (131_072, GIB),
    };

    fn machine(memory: u64) -> Machine {
        Machine {
            memory,
            bandwidth: 10e9,
        }
    }

    /// Everything that `fit` says must be in memory at once.
    fn needed(footprint: &Footprint, working: &WorkingMemory, fit: &Fit, kv_type: KvType) -> u64 {
        let weights = match fit.resident {
            Resident::All => footprint.weights(),
            Resident::Decoder => footprint.decoder,
            Resident::Nothing => 0,
        };
        let cache = fit.n_ctx * kv_type.bytes_per_token(&footprint.config.text);
        weights + cache + working.at(fit.n_ctx)
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
        let fit = fit(&footprint, &WORKING, &machine(64 * GIB), KvType::F16);
        let bytes = fit.tokens_per_s * footprint.bytes_per_token() as f64;
        assert!((bytes - EFFICIENCY * 10e9).abs() < 1.0);
        assert!(fit.tokens_per_s_full < fit.tokens_per_s);
    }

    #[test]
    fn a_large_machine_holds_the_whole_context_and_its_pictures() {
        let fit = fit(&footprint(4), &WORKING, &machine(64 * GIB), KvType::F16);
        assert_eq!(fit.resident, Resident::All);
        assert_eq!(fit.n_ctx, 131_072);
        assert_eq!(fit.picture_tokens, 64 * 65);
        assert_eq!(fit.n_pictures, (131_072 - TEXT_TOKENS) / (64 * 65));
    }

    #[test]
    fn no_context_takes_more_than_is_reckoned_with() {
        let config = Config::pixtral_12b();
        let options = DecoderOptions {
            n_ctx: 0,
            n_ubatch: 512,
            kv_type: KvType::F16,
            n_threads: 1,
            n_sequences: 1,
            reserve_bytes: 1 << 20,
        };
        let working = WorkingMemory::measure(&config, &options).unwrap();
        let full = config.text.context_length as usize;
        for n_ctx in [8, 500, 1024, 5000, 8192, 50_000, full] {
            let options = DecoderOptions { n_ctx, ..options };
            let needs = MemoryNeeds::of_shape(&config, &options).unwrap();
            let taken = needs.total() - needs.kv_cache + PROCESS;
            let reckoned = working.at(n_ctx as u64);
            assert!(taken <= reckoned, "{n_ctx}: {taken} of {reckoned}");
            if n_ctx == full {
                assert_eq!(taken, reckoned);
            }
        }
    }

    #[test]
    fn between_fitting_and_not_the_decoder_alone_stays() {
        let footprint = footprint(4);
        let enough = footprint.weights() + WORKING.at(0);
        let kinds = [enough + GIB, enough, footprint.decoder / 2]
            .map(|memory| fit(&footprint, &WORKING, &machine(memory), KvType::F16).resident);
        assert_eq!(kinds, [Resident::All, Resident::Decoder, Resident::Nothing]);
        let none = fit(&footprint, &WORKING, &machine(GIB), KvType::F16);
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
            (least, growth) in (0..GIB, 0..4 * GIB),
        ) {
            let (footprint, kv_type) = (footprint(bits), KV_TYPES[kv]);
            let working = WorkingMemory {
                short: (LEAST_CTX, least),
                long: (131_072, least + growth),
            };
            let small = fit(&footprint, &working, &machine(memory), kv_type);
            prop_assert!(
                small.resident == Resident::Nothing
                    || needed(&footprint, &working, &small, kv_type) <= memory
            );
            let large = fit(&footprint, &working, &machine(memory + more), kv_type);
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
