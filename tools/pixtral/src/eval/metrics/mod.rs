//! Scores of answers, from 0 to 1, by the definitions that the benchmarks published.
//!
//! Works on texts alone: it knows nothing of models, pictures or files. Each metric has a module
//! of its own that names its source and says where, if anywhere, it differs from it.

mod anls;
mod choice;
mod exact;
mod relaxed;
mod vqa;

pub use choice::Choices;

use clap::ValueEnum;
use serde::Deserialize;

/// How an answer is compared with the expected ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// The same text, but for case and white space
    Exact,
    /// Numbers within 5 %, text exact (ChartQA)
    Relaxed,
    /// Similarity by edit distance (DocVQA)
    Anls,
    /// Agreement with the answers of several people (VQAv2)
    Vqa,
    /// The right option of several (MMMU, MathVista)
    Choice,
}

impl Metric {
    /// The name in datasets and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Relaxed => "relaxed",
            Self::Anls => "anls",
            Self::Vqa => "vqa",
            Self::Choice => "choice",
        }
    }

    /// The score of `answer`, from 0 to 1, when any of `expected` is right. `choices` are the
    /// options of a multiple choice; other metrics ignore them.
    pub fn score(self, answer: &str, expected: &[String], choices: &Choices) -> f64 {
        match self {
            Self::Exact => best(expected, |right| exact::score(answer, right)),
            Self::Relaxed => best(expected, |right| relaxed::score(answer, right)),
            Self::Anls => best(expected, |right| anls::score(answer, right)),
            Self::Vqa => vqa::score(answer, expected),
            Self::Choice => choice::score(answer, expected, choices),
        }
    }
}

fn best(expected: &[String], score: impl Fn(&str) -> f64) -> f64 {
    expected
        .iter()
        .map(|right| score(right))
        .fold(0.0, f64::max)
}

/// 1 for true, 0 for false.
fn all_or_nothing(right: bool) -> f64 {
    match right {
        true => 1.0,
        false => 0.0,
    }
}

/// `text` in lower case, with one space for each run of white space and none at the ends.
fn fold(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_several_expected_answers_counts() {
        let expected = ["wrong".to_owned(), "41".to_owned()];
        let score = |metric: Metric| metric.score("42", &expected, &Choices::default());
        assert_eq!(score(Metric::Exact), 0.0);
        assert_eq!(score(Metric::Relaxed), 1.0);
        assert_eq!(score(Metric::Anls), 0.5);
    }

    #[test]
    fn names_are_the_same_everywhere() {
        for &metric in Metric::value_variants() {
            let from_json: Result<Metric, _> = serde_json::from_value(metric.name().into());
            assert_eq!(from_json.ok(), Some(metric));
            assert_eq!(Metric::from_str(metric.name(), false), Ok(metric));
        }
    }

    proptest::proptest! {
        #[test]
        fn scores_stay_between_0_and_1(answer in ".{0,40}", expected in proptest::collection::vec(".{0,20}", 0..12)) {
            let choices = Choices::parse(&["A. red".to_owned(), "B. blue".to_owned()]).unwrap();
            for &metric in Metric::value_variants() {
                let score = metric.score(&answer, &expected, &choices);
                proptest::prop_assert!((0.0..=1.0).contains(&score), "{metric:?}: {score}");
            }
        }
    }
}
