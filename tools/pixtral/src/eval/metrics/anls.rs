//! ANLS, the measure of ST-VQA and DocVQA.

use super::fold;

/// The least similarity that counts as a misread answer rather than a wrong one.
const THRESHOLD: f64 = 0.5;

/// 1 − d / l, where d is the Levenshtein distance of `answer` and `expected` and l the number of
/// characters of the longer one; 0 if that is below 0.5.
///
/// Defined by Biten et al., "Scene Text Visual Question Answering" (2019, arXiv:1905.13648 and
/// 1907.00490, equation 1, τ = 0.5); DocVQA (Mathew et al. 2021) takes the largest value over the
/// expected answers, and the mean over questions. As in the evaluation scripts of its site
/// (rrc.cvc.uab.es), case and runs of white space do not count, and a similarity of exactly 0.5,
/// which the paper's formula would make 0, is kept.
pub fn score(answer: &str, expected: &str) -> f64 {
    let similarity = strsim::normalized_levenshtein(&fold(answer), &fold(expected));
    match similarity < THRESHOLD {
        true => 0.0,
        false => similarity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misread_answers_lose_a_part_and_wrong_ones_all() {
        for (answer, expected, similarity) in [
            ("Invoice  1234", "invoice 1234", 1.0),
            ("invoice 1284", "invoice 1234", 11.0 / 12.0),
            ("abcd", "abxy", 0.5),
            ("abcde", "abxyz", 0.0),
            ("", "", 1.0),
            ("", "a", 0.0),
            ("straße", "strasse", 5.0 / 7.0),
        ] {
            let score = score(answer, expected);
            assert!((score - similarity).abs() < 1e-12, "{answer:?}: {score}");
        }
    }
}
