//! What a terminal can show, told from the environment.

/// How pictures are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// kitty's graphics protocol.
    Kitty,
    /// iTerm2's inline images.
    Iterm,
    /// DEC's sixels.
    Sixel,
    /// Half blocks (▀), two pixels a character.
    Blocks(Colors),
}

/// Colours of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// 24 bits.
    True,
    /// The 256 colours of xterm.
    Xterm256,
}

/// First version of Konsole (as `KONSOLE_VERSION` gives it) that shows sixels.
const KONSOLE_WITH_SIXEL: u32 = 22_04_00;

/// The best means of the terminal that `variable` (the environment) describes, if it has any.
pub fn means(variable: impl Fn(&str) -> Option<String>) -> Option<Means> {
    let get = |name| variable(name).filter(|value| !value.is_empty());
    let is = |name, value: &str| get(name).is_some_and(|found| found == value);
    let term = get("TERM").unwrap_or_default();
    // Windows Terminal sets no TERM.
    if term == "dumb" || (term.is_empty() && get("WT_SESSION").is_none()) {
        return None;
    }
    // Multiplexers pass on the variables of the terminal around them, but not its pictures.
    let multiplexed = get("TMUX").is_some()
        || get("STY").is_some()
        || get("ZELLIJ").is_some()
        || ["screen", "tmux"].iter().any(|name| term.starts_with(name));
    if !multiplexed {
        if get("KITTY_WINDOW_ID").is_some()
            || ["xterm-kitty", "xterm-ghostty"].contains(&term.as_str())
            || is("TERM_PROGRAM", "ghostty")
        {
            return Some(Means::Kitty);
        }
        if ["iTerm.app", "WezTerm"]
            .iter()
            .any(|name| is("TERM_PROGRAM", name))
            || is("LC_TERMINAL", "iTerm2")
        {
            return Some(Means::Iterm);
        }
        let konsole = get("KONSOLE_VERSION").and_then(|version| version.parse::<u32>().ok());
        if term.contains("sixel")
            || ["foot", "mlterm", "contour"]
                .iter()
                .any(|name| term.starts_with(name))
            || konsole.is_some_and(|version| version >= KONSOLE_WITH_SIXEL)
        {
            return Some(Means::Sixel);
        }
    }
    if get("NO_COLOR").is_some() {
        return None;
    }
    let is_true = ["truecolor", "24bit"]
        .iter()
        .any(|value| is("COLORTERM", value))
        || term.ends_with("-direct")
        || get("WT_SESSION").is_some();
    Some(Means::Blocks(match is_true {
        true => Colors::True,
        false => Colors::Xterm256,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUE: Option<Means> = Some(Means::Blocks(Colors::True));
    const XTERM: Option<Means> = Some(Means::Blocks(Colors::Xterm256));

    fn of(environment: &[(&str, &str)]) -> Option<Means> {
        means(|name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn terminals_are_told_by_what_they_set() {
        for (environment, expected) in [
            (&[("TERM", "xterm-kitty")][..], Some(Means::Kitty)),
            (
                &[("TERM", "xterm-256color"), ("KITTY_WINDOW_ID", "1")],
                Some(Means::Kitty),
            ),
            (&[("TERM", "xterm-ghostty")], Some(Means::Kitty)),
            (
                &[("TERM", "xterm-256color"), ("TERM_PROGRAM", "iTerm.app")],
                Some(Means::Iterm),
            ),
            (
                &[("TERM", "xterm-256color"), ("LC_TERMINAL", "iTerm2")],
                Some(Means::Iterm),
            ),
            (
                &[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")],
                Some(Means::Iterm),
            ),
            (&[("TERM", "foot")], Some(Means::Sixel)),
            (&[("TERM", "mlterm-256color")], Some(Means::Sixel)),
            (&[("TERM", "xterm-sixel")], Some(Means::Sixel)),
            (
                &[("TERM", "xterm-256color"), ("KONSOLE_VERSION", "230804")],
                Some(Means::Sixel),
            ),
            (
                &[("TERM", "xterm-256color"), ("KONSOLE_VERSION", "211203")],
                XTERM,
            ),
            (
                &[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")],
                TRUE,
            ),
            (&[("TERM", "xterm-256color"), ("COLORTERM", "24bit")], TRUE),
            (&[("TERM", "xterm-direct")], TRUE),
            (&[("WT_SESSION", "x")], TRUE),
            (&[("TERM", "xterm-256color")], XTERM),
            (&[("TERM", "linux"), ("COLORTERM", "")], XTERM),
        ] {
            assert_eq!(of(environment), expected, "{environment:?}");
        }
    }

    #[test]
    fn multiplexers_get_characters_only() {
        for environment in [
            &[("TERM", "tmux-256color"), ("KITTY_WINDOW_ID", "1")][..],
            &[
                ("TERM", "xterm-256color"),
                ("TMUX", "x"),
                ("LC_TERMINAL", "iTerm2"),
            ],
            &[("TERM", "screen"), ("TERM_PROGRAM", "WezTerm")],
            &[("TERM", "foot"), ("ZELLIJ", "0")],
        ] {
            assert_eq!(of(environment), XTERM, "{environment:?}");
        }
    }

    #[test]
    fn nothing_is_shown_where_nothing_is_wanted() {
        for environment in [
            &[][..],
            &[("TERM", "dumb"), ("COLORTERM", "truecolor")],
            &[("TERM", "xterm-256color"), ("NO_COLOR", "1")],
        ] {
            assert_eq!(of(environment), None, "{environment:?}");
        }
        // NO_COLOR is about the colours of text.
        assert_eq!(
            of(&[("TERM", "xterm-kitty"), ("NO_COLOR", "1")]),
            Some(Means::Kitty)
        );
        assert_eq!(of(&[("TERM", "xterm"), ("NO_COLOR", "")]), XTERM);
    }
}
