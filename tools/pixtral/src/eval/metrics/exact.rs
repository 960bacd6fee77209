//! Exact match.

use super::{all_or_nothing, fold};

/// 1 if `answer` is `expected`, else 0.
///
/// Case does not count, nor does the kind and number of white space characters; everything else
/// does, punctuation and articles too. (SQuAD's exact match, Rajpurkar et al. 2016, section 6.1,
/// drops those as well; pix2struct's `exact_match` drops nothing.)
pub fn score(answer: &str, expected: &str) -> f64 {
    all_or_nothing(fold(answer) == fold(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_case_and_white_space_are_forgiven() {
        for (answer, expected, right) in [
            (" Dark\n red ", "dark red", true),
            ("ÉCOLE", "école", true),
            ("dark red.", "dark red", false),
            ("the red", "red", false),
            ("", "", true),
        ] {
            assert_eq!(score(answer, expected) == 1.0, right, "{answer:?}");
        }
    }
}
