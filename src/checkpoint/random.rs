//! Pseudo-random weights as a function of (seed, tensor, row, column): any row can be made by any
//! thread at any time, always the same. Knows nothing of files.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The stream of a tensor's values: roughly normal, cut at three standard deviations, and exactly
/// representable in bf16.
#[derive(Clone, Copy, Debug)]
pub(super) struct RandomRows {
    key: u64,
    mean: f32,
    /// Standard deviation.
    std: f32,
}

impl RandomRows {
    /// The values of tensor `name` under `seed`.
    pub fn new(seed: u64, name: &str, mean: f32, std: f32) -> Self {
        Self {
            key: xxh3_64_with_seed(name.as_bytes(), seed),
            mean,
            std,
        }
    }

    /// Fills `out` with row `row`.
    pub fn fill(&self, row: u64, out: &mut [f32]) {
        let key = finalise(self.key.wrapping_add(row.wrapping_mul(GOLDEN)));
        let (low, high) = (key as u32, (key >> 32) as u32);
        for (column, out) in (0u32..).zip(out) {
            *out = to_bf16(self.mean + self.std * deviate(column, low, high));
        }
    }
}

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of splitmix64 (Steele, Lea and Flood, 2014).
fn finalise(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A deviate of mean 0 and standard deviation 1: the sum of three uniform ones (variance 3/12),
/// times two. The hash's constants are those of `lowbias32` (C. Wellons, hash-prospector). Only
/// 32-bit operations, so that the loop over columns becomes vector code.
#[inline]
fn deviate(column: u32, low: u32, high: u32) -> f32 {
    let mut x = column.wrapping_mul(GOLDEN as u32) ^ low;
    x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D).wrapping_add(high);
    x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
    x ^= x >> 16;
    let third = x.wrapping_mul(0x9E37_79B1) >> 16;
    let sum = (x & 0xFFFF) + (x >> 16) + third;
    // Three numbers of 0 to 65535 have the mean 98302.5 and half of 65536 as standard deviation.
    (sum as i32 as f32 - 98302.5) * (1.0 / 32768.0)
}

/// The nearest bf16, ties to even.
#[inline]
fn to_bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    f32::from_bits(bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) & 0xFFFF_0000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    fn sample(seed: u64, name: &str, rows: u64) -> Vec<f32> {
        let random = RandomRows::new(seed, name, 0.5, 0.25);
        let mut out = vec![0.0; rows as usize * 1000];
        for (row, out) in (0..).zip(out.chunks_mut(1000)) {
            random.fill(row, out);
        }
        out
    }

    #[test]
    fn mean_and_deviation_are_as_asked_and_neighbours_are_independent() {
        let values = sample(1, "x", 200);
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let moment = |lag: usize| {
            let pairs = values.iter().zip(&values[lag..]);
            pairs
                .map(|(&a, &b)| (f64::from(a) - mean) * (f64::from(b) - mean))
                .sum::<f64>()
                / n
        };
        assert!((mean - 0.5).abs() < 0.003, "{mean}");
        let variance = moment(0);
        assert!((variance.sqrt() - 0.25).abs() < 0.002, "{variance}");
        for lag in [1, 2, 3, 16, 1000] {
            let correlation = moment(lag) / variance;
            assert!(correlation.abs() < 0.01, "lag {lag}: {correlation}");
        }
    }

    #[test]
    fn values_depend_on_seed_and_name_only_and_are_bf16() {
        let values = sample(1, "x", 3);
        assert_eq!(values, sample(1, "x", 3));
        assert_ne!(values, sample(2, "x", 3));
        assert_ne!(values, sample(1, "y", 3));
        assert!(values.iter().all(|&v| bf16::from_f32(v).to_f32() == v));
    }

    #[test]
    fn rounding_to_bf16_is_to_nearest_even() {
        for bits in [
            0x3F80_8000u32,
            0x3F81_8000,
            0x3F80_8001,
            0x3F80_7FFF,
            0xBF80_8000,
        ] {
            let value = f32::from_bits(bits);
            assert_eq!(to_bf16(value), bf16::from_f32(value).to_f32(), "{bits:x}");
        }
    }
}
