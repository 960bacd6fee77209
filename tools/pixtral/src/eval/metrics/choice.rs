//! Multiple choice, as MMMU and MathVista score it.

use super::{all_or_nothing, fold};

/// The options of a question.
#[derive(Clone, Debug, Default)]
pub struct Choices(Vec<Choice>);

#[derive(Clone, Debug)]
struct Choice {
    letter: char,
    text: String,
}

impl Choices {
    /// Options with the letters they begin with (`A. red`, `A) red`, `A: red` or `(A) red`), or,
    /// unless all have one, with letters in order.
    ///
    /// Errors with a reason if there are fewer than two, more than letters, or two alike.
    pub fn parse(options: &[String]) -> Result<Self, String> {
        if !(2..=26).contains(&options.len()) {
            return Err(format!(
                "`choices` has {} options, expected 2 to 26",
                options.len()
            ));
        }
        let labelled: Option<Vec<Choice>> = options.iter().map(|option| label(option)).collect();
        let choices = labelled.unwrap_or_else(|| {
            let letters = 'A'..='Z';
            let numbered = letters.zip(options);
            numbered
                .map(|(letter, text)| Choice {
                    letter,
                    text: text.trim().to_owned(),
                })
                .collect()
        });
        for (i, choice) in choices.iter().enumerate() {
            if choices[..i]
                .iter()
                .any(|before| before.letter == choice.letter)
            {
                return Err(format!("`choices` has two options {}", choice.letter));
            }
        }
        Ok(Self(choices))
    }

    /// The letter of the option that a dataset's answer means: a letter, or an option's text.
    pub fn resolve(&self, answer: &str) -> Option<char> {
        let whole = fold(answer);
        self.lone_letter(answer)
            .or_else(|| self.find(|choice| fold(&choice.text) == whole))
            .or_else(|| {
                label(answer).and_then(|labelled| self.lone_letter(&labelled.letter.to_string()))
            })
    }

    /// The letter of the option that a model's `answer` means, if it says anything.
    ///
    /// The rules are those of MMMU's `parse_multi_choice_response` (Yue et al. 2024,
    /// MMMU-Benchmark/MMMU, `eval_utils.py`), each tried if those before found nothing: letters
    /// in parentheses, letters standing alone, letters before a full stop, the texts of options
    /// within the answer; of several the last one counts. Where MMMU then guesses at random, the
    /// option with the smallest edit distance is taken, as in MathVista (Lu et al. 2024,
    /// lupantech/MathVista, `calculate_score.py`), so that a run can be repeated.
    ///
    /// Differences: an answer that is one letter of either case, or exactly an option's text, is
    /// that option before any rule (the text "A dog" is not option A); texts of options are
    /// looked for in short answers too; an empty answer is wrong.
    fn pick(&self, answer: &str) -> Option<char> {
        let answer = answer
            .trim()
            .trim_matches([',', '.', '!', '?', ';', ':', '\'', ' ', '\n']);
        if answer.is_empty() {
            return None;
        }
        let whole = fold(answer);
        self.lone_letter(answer)
            .or_else(|| self.find(|choice| fold(&choice.text) == whole))
            .or_else(|| self.last_mark(answer, |letter| format!("({letter})")))
            .or_else(|| self.last_mark(answer, |letter| format!(" {letter} ")))
            .or_else(|| self.last_mark(answer, |letter| format!(" {letter}.")))
            .or_else(|| self.last_text(&whole))
            .or_else(|| self.nearest_text(&whole))
    }

    fn find(&self, is_it: impl Fn(&Choice) -> bool) -> Option<char> {
        self.0
            .iter()
            .find(|choice| is_it(choice))
            .map(|choice| choice.letter)
    }

    fn lone_letter(&self, text: &str) -> Option<char> {
        let text = text
            .trim()
            .trim_start_matches('(')
            .trim_end_matches([')', '.', ':']);
        self.find(|choice| text.eq_ignore_ascii_case(choice.letter.encode_utf8(&mut [0; 4])))
    }

    /// The option whose mark is last in `answer`.
    fn last_mark(&self, answer: &str, mark: impl Fn(char) -> String) -> Option<char> {
        // Spaces at the ends let a mark with spaces stand there too.
        let padded = format!(
            " {} ",
            answer.split_whitespace().collect::<Vec<_>>().join(" ")
        );
        let marked = |c: &Choice| padded.rfind(&mark(c.letter)).map(|at| (at, c.letter));
        self.0
            .iter()
            .filter_map(marked)
            .max()
            .map(|(_, letter)| letter)
    }

    /// The option whose text ends last in `answer`, the longest of those.
    fn last_text(&self, answer: &str) -> Option<char> {
        let found = self.0.iter().filter_map(|choice| {
            let text = fold(&choice.text);
            let at = answer.rfind(&text).filter(|_| !text.is_empty())?;
            Some(((at + text.len(), text.len()), choice.letter))
        });
        found.max().map(|(_, letter)| letter)
    }

    /// The option whose text has the smallest edit distance to `answer`, the first of several.
    fn nearest_text(&self, answer: &str) -> Option<char> {
        let distance = |choice: &&Choice| strsim::levenshtein(answer, &fold(&choice.text));
        self.0
            .iter()
            .min_by_key(distance)
            .map(|choice| choice.letter)
    }
}

fn label(option: &str) -> Option<Choice> {
    let option = option.trim();
    let (letter, text) = match option.strip_prefix('(') {
        Some(rest) => rest.split_once(')')?,
        None => option.split_once(['.', ')', ':'])?,
    };
    let mut chars = letter.chars();
    let letter = chars.next().filter(char::is_ascii_uppercase)?;
    chars.next().is_none().then(|| Choice {
        letter,
        text: text.trim().to_owned(),
    })
}

/// 1 if `answer` means one of the options that `expected` names, else 0. Takes the letter from a
/// free answer as [`Choices::pick`] says.
pub fn score(answer: &str, expected: &[String], choices: &Choices) -> f64 {
    let right = choices.pick(answer).is_some_and(|letter| {
        expected
            .iter()
            .any(|answer| choices.resolve(answer) == Some(letter))
    });
    all_or_nothing(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(options: &[&str]) -> Choices {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        Choices::parse(&options).unwrap()
    }

    #[test]
    fn letters_are_taken_from_free_answers() {
        let choices = choices(&["A. red", "B. green", "C. dark red", "D. A dog"]);
        for (answer, letter) in [
            ("B", 'B'),
            ("b.", 'B'),
            ("(C)", 'C'),
            ("The answer is (B), not (A).", 'A'),
            ("The answer is B", 'B'),
            ("Either A or B .", 'B'),
            ("Answer: B. It is a leaf.", 'B'),
            ("B. green", 'B'),
            ("It must be green", 'B'),
            ("I would say dark red", 'C'),
            ("a dog", 'D'),
            ("gren", 'B'),
        ] {
            assert_eq!(choices.pick(answer), Some(letter), "{answer:?}");
        }
        assert_eq!(choices.pick(" ."), None);
    }

    #[test]
    fn options_without_letters_get_them_in_order() {
        let choices = choices(&["larger than", "B. equal to", "smaller than"]);
        assert_eq!(choices.resolve("C"), Some('C'));
        assert_eq!(choices.resolve("Larger than"), Some('A'));
        assert_eq!(choices.resolve("b. equal to"), Some('B'));
        assert_eq!(choices.resolve("E"), None);
    }

    #[test]
    fn expected_answers_are_letters_or_texts() {
        let choices = choices(&["(A) 3", "(B) 4"]);
        for expected in ["B", "4", "(B) 4", "B. 4"] {
            assert_eq!(
                score("It is (B)", &[expected.to_owned()], &choices),
                1.0,
                "{expected}"
            );
            assert_eq!(
                score("It is (A)", &[expected.to_owned()], &choices),
                0.0,
                "{expected}"
            );
        }
    }

    #[test]
    fn options_that_cannot_be_told_apart_are_refused() {
        for options in [&["A. x"][..], &["A. x", "A. y"], &["x"; 27]] {
            let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
            assert!(Choices::parse(&options).is_err(), "{options:?}");
        }
    }
}
