//! Relaxed accuracy, the measure of ChartQA and PlotQA.

use super::{all_or_nothing, fold};

/// How far a number may be from the expected one, as a part of that.
const TOLERANCE: f64 = 0.05;

/// 1 if `answer` is a number within 5 % of `expected`, or the same text; else 0.
///
/// Defined by Masry et al., "ChartQA" (2022, arXiv:2203.10244), end of section 5.1, after Methani
/// et al., "PlotQA" (2020); the details are those of `relaxed_correctness` in google-research's
/// pix2struct, by which results are usually reported: `p %` is the number p/100, so that `5%`
/// agrees with `0.05` and not with `5`; numbers with thousands separators, units or currency signs
/// are text; and an expected 0 is compared as text, since no number lies within 5 % of it. Text is
/// compared as by [exact match](super::exact).
pub fn score(answer: &str, expected: &str) -> f64 {
    let right = match (number(answer), number(expected)) {
        (Some(found), Some(wanted)) if wanted != 0.0 => {
            (found - wanted).abs() / wanted.abs() <= TOLERANCE
        }
        _ => fold(answer) == fold(expected),
    };
    all_or_nothing(right)
}

fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.trim_end_matches('%');
    let number: f64 = digits.trim_end().parse().ok()?;
    // "inf" and "nan" are words here.
    let number = number.is_finite().then_some(number)?;
    Some(match digits.len() < text.len() {
        true => number / 100.0,
        false => number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_be_5_percent_off() {
        for (answer, expected, right) in [
            ("105", "100", true),
            ("95", "100", true),
            ("105.1", "100", false),
            ("-95", "-100", true),
            ("95", "-100", false),
            ("1e2", "100", true),
            ("100.", "100", true),
        ] {
            assert_eq!(score(answer, expected) == 1.0, right, "{answer:?}");
        }
    }

    #[test]
    fn percent_signs_divide_by_100() {
        for (answer, expected, right) in [
            ("51%", "50%", true),
            ("0.5", "50%", true),
            ("50", "50%", false),
            ("50 %", "0.5", true),
        ] {
            assert_eq!(score(answer, expected) == 1.0, right, "{answer:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_must_be_the_same_text() {
        for (answer, expected, right) in [
            ("Blue ", "blue", true),
            ("1,000", "1000", false),
            ("1,000", "1,000", true),
            ("0.001", "0", false),
            ("0", "0", true),
            ("inf", "5", false),
            ("nan", "nan", true),
            ("%", "5", false),
        ] {
            assert_eq!(score(answer, expected) == 1.0, right, "{answer:?}");
        }
    }
}
