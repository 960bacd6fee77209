//! Rotary periods: the reciprocals of the frequencies by which pairs of elements turn.

use crate::config::{TextConfig, VisionConfig};

/// Period of each pair of the decoder's heads: `θ^(2i / head_dim)`, `head_dim / 2` values.
pub fn text_periods(text: &TextConfig) -> Vec<f32> {
    let n = text.head_dim;
    (0..n / 2)
        .map(|i| period(text.rope_theta, 2 * i, n))
        .collect()
}

/// Periods of the vision tower's pairs, by row and by column, `head_dim / 2` values each of which
/// the first `head_dim / 4` are used (the rest is 1, since ggml reads half a head of them).
///
/// With `f_i = θ^(−2i / head_dim)`, rows take the even `f_i` and columns the odd ones
/// (mistral_inference, `precompute_freqs_cis_2d`).
pub fn vision_periods(vision: &VisionConfig) -> [Vec<f32>; 2] {
    let n = vision.head_dim();
    [0, 1].map(|axis| {
        let mut periods: Vec<f32> = (0..n / 4)
            .map(|i| period(vision.rope_theta, 2 * (2 * i + axis), n))
            .collect();
        periods.resize((n / 2) as usize, 1.0);
        periods
    })
}

/// `θ^(numerator / n)`, rounded to f32 once.
fn period(theta: f32, numerator: u32, n: u32) -> f32 {
    f64::from(theta).powf(f64::from(numerator) / f64::from(n)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn rows_and_columns_share_the_frequencies_of_one_head() {
        let vision = Config::pixtral_12b().vision;
        let [rows, columns] = vision_periods(&vision);
        assert_eq!(rows.len(), 32);
        assert_eq!((rows[0], rows[16]), (1.0, 1.0));
        // f_1 of a head of 64: 10000^(-2/64).
        assert!((columns[0] - 10000f32.powf(2.0 / 64.0)).abs() < 1e-6);
        assert!((rows[1] - 10000f32.powf(4.0 / 64.0)).abs() < 1e-6);
    }

    #[test]
    fn the_first_pair_turns_by_one_radian_a_token() {
        let periods = text_periods(&Config::pixtral_12b().text);
        assert_eq!(periods.len(), 64);
        assert_eq!(periods[0], 1.0);
    }
}
