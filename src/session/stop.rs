//! Stop strings in a stream of text.

/// Finds the first of several strings in text that comes in pieces, holding back what could still
/// become one.
pub(super) struct StopMatcher {
    stops: Vec<String>,
    held: String,
}

/// What a piece of text led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// Text that can be shown now.
    pub(super) text: String,
    /// Whether a stop string followed it.
    pub(super) stopped: bool,
}

impl StopMatcher {
    /// A matcher for `stops`; empty strings match nothing.
    pub(super) fn new(stops: Vec<String>) -> Self {
        Self {
            stops,
            held: String::new(),
        }
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &str) -> Passed {
        self.held.push_str(piece);
        let hit = self.stops().filter_map(|stop| self.held.find(stop)).min();
        if let Some(at) = hit {
            self.held.truncate(at);
            return Passed {
                text: std::mem::take(&mut self.held),
                stopped: true,
            };
        }
        let keep = self
            .stops()
            .map(|stop| overlap(&self.held, stop))
            .max()
            .unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        Passed {
            text: std::mem::replace(&mut self.held, rest),
            stopped: false,
        }
    }

    /// What was held back when the text ends.
    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    fn stops(&self) -> impl Iterator<Item = &str> {
        self.stops
            .iter()
            .map(String::as_str)
            .filter(|stop| !stop.is_empty())
    }
}

/// Bytes of the longest end of `text` that begins `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    stop.char_indices()
        .map(|(at, _)| at)
        .rev()
        .find(|&n| n > 0 && text.ends_with(&stop[..n]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(text: &str, stopped: bool) -> Passed {
        Passed {
            text: text.into(),
            stopped,
        }
    }

    #[test]
    fn a_stop_string_split_over_pieces_is_found_and_not_shown() {
        let mut matcher = StopMatcher::new(vec!["END".to_owned(), "\n\n".to_owned()]);
        assert_eq!(matcher.push("abc E"), passed("abc ", false));
        assert_eq!(matcher.push("N"), passed("", false));
        assert_eq!(matcher.push("D def"), passed("", true));
    }

    #[test]
    fn text_that_only_began_like_a_stop_string_is_shown() {
        let mut matcher = StopMatcher::new(vec!["END".to_owned()]);
        assert_eq!(matcher.push("EN"), passed("", false));
        assert_eq!(matcher.push("T"), passed("ENT", false));
        assert_eq!(matcher.push("é E"), passed("é ", false));
        assert_eq!(matcher.finish(), "E");
    }

    #[test]
    fn the_earliest_of_several_wins_and_empty_ones_are_ignored() {
        let stops = vec![String::new(), "c".to_owned(), "b".to_owned()];
        assert_eq!(StopMatcher::new(stops).push("abc"), passed("a", true));
    }
}
