//! Problems of attention: shapes, types, masks, and numbers without a pattern.

use ggml_sys::*;
use half::f16;
use proptest::prelude::*;

/// The shape and kind of an attention, in all that a kernel may treat differently.
#[derive(Clone, Copy, Debug)]
pub struct Problem {
    pub key_width: usize,
    pub value_width: usize,
    pub n_tokens: usize,
    pub n_keys: usize,
    pub n_key_heads: usize,
    /// Heads of queries that share a head of keys.
    pub per_key_head: usize,
    pub n_sequences: usize,
    pub storage: Storage,
    pub mask: Mask,
    pub precision: Precision,
    pub special: Special,
    pub seed: u32,
}

/// How keys and values are stored.
#[derive(Clone, Copy, Debug)]
pub enum Storage {
    F32,
    F16,
    Bf16,
    Q8,
    Q4,
}

#[derive(Clone, Copy, Debug)]
pub enum Mask {
    None,
    /// Each token sees itself and those before it, the last ones of the keys being padding.
    Causal,
    /// Anything: hidden, unchanged, raised or lowered.
    Any,
    /// No token sees any key.
    Hidden,
}

#[derive(Clone, Copy, Debug)]
pub enum Precision {
    F32,
    Bf16,
}

/// What our kernel does not know.
#[derive(Clone, Copy, Debug)]
pub enum Special {
    None,
    Alibi,
    Softcap,
    Sinks,
    /// Keys are f32, whatever values are.
    MixedTypes,
}

impl Storage {
    pub fn ty(self) -> ggml_type {
        match self {
            Self::F32 => GGML_TYPE_F32,
            Self::F16 => GGML_TYPE_F16,
            Self::Bf16 => GGML_TYPE_BF16,
            Self::Q8 => GGML_TYPE_Q8_0,
            Self::Q4 => GGML_TYPE_Q4_0,
        }
    }
}

/// A problem as a small decoder has it.
pub const USUAL: Problem = Problem {
    key_width: 64,
    value_width: 64,
    n_tokens: 5,
    n_keys: 40,
    n_key_heads: 2,
    per_key_head: 4,
    n_sequences: 1,
    storage: Storage::F16,
    mask: Mask::Causal,
    precision: Precision::F32,
    special: Special::None,
    seed: 7,
};

impl Problem {
    pub fn n_heads(&self) -> usize {
        self.n_key_heads * self.per_key_head
    }

    /// Between them scores spread over some units.
    pub fn scale(&self) -> f32 {
        2.0 / (self.key_width as f32).sqrt()
    }

    /// `[sequence][token][head][key_width]`
    pub fn queries(&self) -> Vec<f32> {
        noise(
            self.n_sequences * self.n_tokens * self.n_heads() * self.key_width,
            self.seed,
        )
    }

    /// `[sequence][key][key head][key_width]`
    pub fn keys(&self) -> Vec<f32> {
        noise(
            self.n_sequences * self.n_keys * self.n_key_heads * self.key_width,
            self.seed + 1,
        )
    }

    /// `[sequence][key][key head][value_width]`
    pub fn values(&self) -> Vec<f32> {
        noise(
            self.n_sequences * self.n_keys * self.n_key_heads * self.value_width,
            self.seed + 2,
        )
    }

    /// `[sequence][token][key]`
    pub fn mask(&self) -> Option<Vec<f16>> {
        let entry = |i: usize, x: f32| {
            let (token, key) = (i / self.n_keys % self.n_tokens, i % self.n_keys);
            let hidden = match self.mask {
                Mask::None | Mask::Any => x < -0.5,
                Mask::Causal => key + self.n_tokens + 9 > self.n_keys + token && key > token,
                Mask::Hidden => true,
            };
            match (hidden, self.mask) {
                (true, _) => f16::NEG_INFINITY,
                (false, Mask::Any) if x > 0.0 => f16::from_f32(2.0 * x),
                (false, _) => f16::ZERO,
            }
        };
        if matches!(self.mask, Mask::None) {
            return None;
        }
        let n = self.n_sequences * self.n_tokens * self.n_keys;
        let numbers = noise(n, self.seed + 3).into_iter().enumerate();
        Some(numbers.map(|(i, x)| entry(i, x)).collect())
    }
}

/// Problems of every kind that our kernel knows.
pub fn every_kind() -> impl Strategy<Value = Problem> {
    let storage = prop::sample::select(vec![
        Storage::F32,
        Storage::F16,
        Storage::Bf16,
        Storage::Q8,
        Storage::Q4,
    ]);
    let mask = prop::sample::select(vec![Mask::None, Mask::Causal, Mask::Any]);
    let precision = prop::sample::select(vec![Precision::F32, Precision::Bf16]);
    let tokens = prop_oneof![3 => 1usize..6, 2 => 1usize..40];
    let keys = prop_oneof![4 => 1usize..150, 1 => 500usize..700];
    (
        (1usize..5, 1usize..5, tokens, keys, 1usize..4, 1usize..6),
        (1usize..3, storage, mask, precision, any::<u16>()),
    )
        .prop_map(|(shape, kind)| {
            let (keys, values, n_tokens, n_keys, n_key_heads, per_key_head) = shape;
            let (n_sequences, storage, mask, precision, seed) = kind;
            Problem {
                key_width: 32 * keys,
                value_width: 32 * values,
                n_tokens,
                n_keys,
                n_key_heads,
                per_key_head,
                n_sequences,
                storage,
                mask,
                precision,
                special: Special::None,
                seed: seed.into(),
            }
        })
}

/// Uniform in [-1, 1).
fn noise(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}
