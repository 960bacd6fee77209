//! VQA accuracy, the measure of VQAv2.

/// Answers of people from which leaving one out is fair; VQAv2 has 10 for every question.
const FULL_SET: usize = 10;

/// People who must have given an answer for it to be entirely right.
const ENOUGH: f64 = 3.0;

/// min(1, k/3), where k of `expected` (one answer for each person asked) match `answer`.
///
/// Defined by Antol et al., "VQA: Visual Question Answering" (2015, arXiv:1505.00468), section 5,
/// and on visualqa.org/evaluation: with the 10 answers of VQAv2 it is the mean of that value over
/// the 10 sets of 9 that leave one person out. With fewer than 10 it is min(1, k/3) over all of
/// them, and with fewer than 3, where that could not reach 1, k divided by their number.
///
/// Both sides are normalised as in the published evaluation (GT-Vision-Lab/VQA, `vqaEval.py`), see
/// [`normalise`]. That script leaves both as they are when all 10 people agree, so that `Yes` does
/// not match ten times `yes`; here they are normalised then too.
pub fn score(answer: &str, expected: &[String]) -> f64 {
    let answer = normalise(answer);
    let matching = expected.iter().filter(|e| normalise(e) == answer).count();
    let (n, k) = (expected.len() as f64, matching as f64);
    if matching == 0 {
        0.0
    } else if expected.len() < FULL_SET {
        (k / ENOUGH.min(n)).min(1.0)
    } else {
        let without_a_match = ((k - 1.0) / ENOUGH).min(1.0);
        let without_another = (k / ENOUGH).min(1.0);
        (k * without_a_match + (n - k) * without_another) / n
    }
}

/// Removes what the evaluation takes for differences of spelling: punctuation (within a word it
/// becomes a space), full stops not before a digit, case, articles, missing apostrophes, and
/// number words up to ten.
fn normalise(text: &str) -> String {
    let text = without_punctuation(text.trim()).to_lowercase();
    let words: Vec<&str> = text
        .split_whitespace()
        .map(|word| digits(word).unwrap_or(word))
        .filter(|word| !["a", "an", "the"].contains(word))
        .map(|word| contraction(word).unwrap_or(word))
        .collect();
    words.join(" ")
}

fn without_punctuation(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let is_digit = |c: Option<&char>| c.is_some_and(char::is_ascii_digit);
    let thousands = chars
        .windows(3)
        .any(|w| w[1] == ',' && is_digit(w.first()) && is_digit(w.last()));
    let beside_space = |mark| {
        chars
            .windows(2)
            .any(|w| w == [mark, ' '] || w == [' ', mark])
    };
    let mut result = String::with_capacity(text.len());
    for (i, &c) in chars.iter().enumerate() {
        match c {
            '.' if !is_digit(chars.get(i + 1)) => {}
            c if PUNCTUATION.contains(c) => {
                // One mark beside a space makes all of its kind vanish, as does a number with
                // thousands separators; otherwise marks hold words together and become spaces.
                if !thousands && !beside_space(c) {
                    result.push(' ');
                }
            }
            c => result.push(c),
        }
    }
    result
}

const PUNCTUATION: &str = ";/[]\"{}()=+\\_-><@`,?!";

fn digits(word: &str) -> Option<&'static str> {
    Some(match word {
        "none" | "zero" => "0",
        "one" => "1",
        "two" => "2",
        "three" => "3",
        "four" => "4",
        "five" => "5",
        "six" => "6",
        "seven" => "7",
        "eight" => "8",
        "nine" => "9",
        "ten" => "10",
        _ => return None,
    })
}

/// The contraction that `word` is when one apostrophe is put back.
fn contraction(word: &str) -> Option<&'static str> {
    CONTRACTIONS.iter().copied().find(|whole| {
        whole
            .match_indices('\'')
            .any(|(at, _)| word.strip_prefix(&whole[..at]) == Some(&whole[at + 1..]))
    })
}

/// The contractions of the published evaluation. Its table holds each one with one apostrophe
/// missing; those that are words without it (she'd, we'll) are not in it.
#[rustfmt::skip]
const CONTRACTIONS: &[&str] = &[
    "ain't", "aren't", "can't", "could've", "couldn't", "couldn't've", "didn't", "doesn't",
    "don't", "hadn't", "hadn't've", "hasn't", "haven't", "he'd", "he'd've", "he's", "how'd",
    "how'll", "how's", "isn't", "it'd", "it'd've", "it'll", "ma'am", "mightn't", "mightn't've",
    "might've", "mustn't", "must've", "needn't", "not've", "o'clock", "oughtn't", "'ow's'at",
    "shan't", "she'd've", "should've", "shouldn't", "shouldn't've", "somebody'd",
    "somebody'd've", "somebody'll", "somebody's", "someone'd", "someone'd've", "someone'll",
    "someone's", "something'd", "something'd've", "something'll", "that's", "there'd",
    "there'd've", "there're", "there's", "they'd", "they'd've", "they'll", "they're", "they've",
    "'twas", "wasn't", "we'd've", "we've", "weren't", "what'll", "what're", "what's", "what've",
    "when's", "where'd", "where's", "where've", "who'd", "who'd've", "who'll", "who's", "who've",
    "why'll", "why're", "why's", "won't", "would've", "wouldn't", "wouldn't've", "y'all",
    "y'all'll", "y'all'd've", "you'd", "you'd've", "you'll", "you're", "you've",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn people(answers: &[(&str, usize)]) -> Vec<String> {
        let repeated = answers
            .iter()
            .map(|&(answer, n)| vec![answer.to_owned(); n]);
        repeated.flatten().collect()
    }

    #[test]
    fn ten_answers_are_averaged_leaving_one_out() {
        for (n, accuracy) in [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)] {
            let expected = people(&[("red", n), ("blue", 10 - n)]);
            let score = score("red", &expected);
            assert!((score - accuracy).abs() < 1e-12, "{n}: {score}");
        }
    }

    #[test]
    fn fewer_answers_count_by_the_plain_rule() {
        for (answers, accuracy) in [
            (&[("red", 1)][..], 1.0),
            (&[("red", 1), ("blue", 1)], 0.5),
            (&[("red", 1), ("blue", 4)], 1.0 / 3.0),
            (&[("red", 5)], 1.0),
            (&[], 0.0),
        ] {
            assert_eq!(score("red", &people(answers)), accuracy, "{answers:?}");
        }
    }

    #[test]
    fn spelling_is_normalised_as_published() {
        for (text, normal) in [
            ("The Dog.", "dog"),
            ("yes!", "yes"),
            ("black-and-white", "black and white"),
            ("black - and-white", "black andwhite"),
            ("1,000", "1000"),
            ("2.5", "2.5"),
            ("No. 5", "no 5"),
            ("two", "2"),
            ("none", "0"),
            ("dont", "don't"),
            ("couldnt've", "couldn't've"),
            ("couldn'tve", "couldn't've"),
            ("twas", "'twas"),
            ("well", "well"),
            ("a\tred\nball", "red ball"),
            ("", ""),
        ] {
            assert_eq!(normalise(text), normal, "{text:?}");
        }
    }
}
