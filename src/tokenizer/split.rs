//! Cuts text into the pieces that are encoded on their own, by the pattern of the tokenizer file.
//!
//! Knows regular expressions and nothing of tokens. Every pattern of the GPT-4o family, tekken's
//! among them, needs look-ahead in one place only, its tail `\s+(?!\S)|\s+` ("white space, but
//! leave the last one to the word that follows"). That tail is carried out here by hand so that
//! the rest runs on a finite automaton, in linear time whatever the text.

use regex_automata::{Anchored, Input, PatternID, meta};

use crate::{Error, ErrorKind, Result};

/// The tail of the known patterns, as it is written in their files.
const WHITE_SPACE_TAIL: &str = r"|\s+(?!\S)|\s+";

/// A compiled pattern.
pub(super) struct Splitter {
    pattern: String,
    engine: Engine,
}

enum Engine {
    /// A finite automaton: pattern 0 is the file's pattern without its tail, and pattern 1, if
    /// there, is the tail's white space. Of two that match at one place the lower one wins, as
    /// it would in an alternation.
    Automaton(meta::Regex),
    /// A pattern with look-around elsewhere. It may give up on a hostile text.
    Backtracking(fancy_regex::Regex),
}

/// Pattern 1 of [`Engine::Automaton`].
const TAIL: PatternID = PatternID::new_unchecked(1);

impl Splitter {
    /// Compiles `pattern`, or says what is wrong with it.
    pub fn new(pattern: &str) -> Result<Self> {
        let head = pattern.strip_suffix(WHITE_SPACE_TAIL);
        let automaton = match head {
            Some(head) => meta::Regex::new_many(&[head, r"\s+"]),
            None => meta::Regex::new(pattern),
        };
        let engine = match automaton {
            Ok(regex) => Engine::Automaton(regex),
            Err(_) => Engine::Backtracking(fancy_regex::Regex::new(pattern).map_err(|e| {
                Error::new(
                    ErrorKind::InvalidTokenizer,
                    format!("the pattern that splits text is not a regular expression: {e}"),
                )
                .with_source(e)
            })?),
        };
        Ok(Self {
            pattern: pattern.to_owned(),
            engine,
        })
    }

    /// The pattern as it was given.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The pieces of `text` in order; joined they are `text` again.
    pub fn pieces<'a>(&self, text: &'a str) -> impl Iterator<Item = &'a str> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = at;
            if start < text.len() {
                at = self.end_of_piece(text, start);
            }
            (at > start).then(|| &text[start..at])
        })
    }

    /// Where the piece that starts at `start` ends: always beyond `start` and on a character's
    /// boundary. Text that the pattern does not match (tekken's matches all) is a piece of its
    /// own, so that nothing is lost.
    fn end_of_piece(&self, text: &str, start: usize) -> usize {
        match &self.engine {
            Engine::Automaton(regex) => {
                let input = Input::new(text).range(start..);
                let here = input.clone().anchored(Anchored::Yes);
                match regex.find(here).filter(|m| !m.is_empty()) {
                    Some(m) if m.pattern() == TAIL => start + white_space(&text[start..], m.len()),
                    Some(m) => m.end(),
                    None => regex
                        .find_iter(input)
                        .map(|m| m.start())
                        .find(|&next| next > start)
                        .unwrap_or(text.len()),
                }
            }
            Engine::Backtracking(regex) => match regex.find_from_pos(text, start) {
                Ok(Some(m)) if m.start() > start => m.start(),
                Ok(Some(m)) if !m.as_str().is_empty() => m.end(),
                Ok(Some(_)) => start + text[start..].chars().next().map_or(0, char::len_utf8),
                // Giving up leaves the rest as one piece: still the same text, though perhaps not
                // the ids of an implementation that never gives up.
                Ok(None) | Err(_) => text.len(),
            },
        }
    }
}

/// Length of `\s+(?!\S)|\s+` at the start of `text`, which starts with `run` bytes of white space
/// and then something else or its end.
fn white_space(text: &str, run: usize) -> usize {
    if run == text.len() {
        return run;
    }
    match text[..run].char_indices().next_back() {
        Some((last, _)) if last > 0 => last,
        _ => run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::metadata::TEKKEN_PATTERN as TEKKEN;
    use proptest::prelude::*;

    fn split<'a>(s: &'a Splitter, text: &'a str) -> Vec<&'a str> {
        s.pieces(text).collect()
    }

    #[test]
    fn leaves_the_last_white_space_to_the_word() {
        let s = Splitter::new(TEKKEN).unwrap();
        assert!(matches!(s.engine, Engine::Automaton(_)));
        assert_eq!(split(&s, "a   b"), ["a", "  ", " b"]);
        assert_eq!(split(&s, "a   1"), ["a", "  ", " ", "1"]);
        assert_eq!(split(&s, "a \n b  "), ["a", " \n", " b", "  "]);
        assert_eq!(
            split(&s, "\u{a0}\u{2003}\u{3000}7"),
            ["\u{a0}\u{2003}", "\u{3000}", "7"]
        );
        assert_eq!(split(&s, ""), [""; 0]);
    }

    #[test]
    fn keeps_text_that_the_pattern_does_not_match() {
        let s = Splitter::new(r"[a-z]+").unwrap();
        assert_eq!(split(&s, "12ab3c!"), ["12", "ab", "3", "c", "!"]);
        let s = Splitter::new(r"[a-z]+(?=!)|\d").unwrap();
        assert!(matches!(s.engine, Engine::Backtracking(_)));
        assert_eq!(split(&s, "ab12cd!é"), ["ab", "1", "2", "cd", "!é"]);
    }

    #[test]
    fn patterns_that_match_nothing_at_all_still_make_progress() {
        for pattern in ["", "x*", "(?=y)"] {
            let s = Splitter::new(pattern).unwrap();
            assert_eq!(split(&s, "éxxyé").concat(), "éxxyé", "{pattern:?}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_pattern() {
        let e = Splitter::new("(").err().unwrap();
        assert_eq!(e.kind(), ErrorKind::InvalidTokenizer);
    }

    proptest! {
        #[test]
        fn agrees_with_a_backtracking_engine(
            text in prop::collection::vec(
                prop::sample::select(
                    " \t\n\r\u{a0}\u{85}\u{2028}\u{3000}\u{200b}aZéßǅʰ中ع́\u{0301}1٣½Ⅷ/.'-_\"(😀\u{0}\u{e000}".chars().collect::<Vec<_>>(),
                ),
                0..40,
            ),
        ) {
            let text: String = text.into_iter().collect();
            let ours = Splitter::new(TEKKEN).unwrap();
            let reference = fancy_regex::Regex::new(TEKKEN).unwrap();
            let expected: Vec<&str> =
                reference.find_iter(&text).map(|m| m.unwrap().as_str()).collect();
            prop_assert_eq!(split(&ours, &text), expected);
        }
    }
}
