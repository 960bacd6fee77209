//! The lines of a conversation: read with editing and recall at a terminal, plainly from a pipe,
//! and told apart into commands and text.

use pixtral::{Error, ErrorKind, Result};
use pixtral_terminal::noteln;
use rustyline::{DefaultEditor, error::ReadlineError};
use std::{
    io::{self, BufRead, IsTerminal},
    path::PathBuf,
};

const HELP: &str = "\
/image PATH   add a picture to the next message; several may be added
/reset        forget the conversation
/quit         leave, as does Ctrl-D
A line that ends in \\ goes on in the next one. Ctrl-C stops an answer.";

/// What came next.
pub enum Input {
    /// Something to do.
    Turn(Turn),
    /// The end.
    End,
}

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// Add a picture to the next message.
    Image(PathBuf),
    /// Forget the conversation.
    Reset,
    /// Send a message.
    Text(String),
}

/// What a line says, before it is acted on.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Turn(Turn),
    Help,
    Quit,
    Nothing,
}

/// Where lines come from.
pub struct Repl {
    /// Absent if standard input is not a terminal.
    editor: Option<DefaultEditor>,
}

impl Repl {
    /// Reads standard input.
    pub fn new() -> Result<Self> {
        let editor = match io::stdin().is_terminal() {
            true => Some(DefaultEditor::new().map_err(unreadable)?),
            false => None,
        };
        if editor.is_some() {
            noteln!("/image PATH adds a picture, /help lists the commands, Ctrl-D leaves");
        }
        Ok(Self { editor })
    }

    /// Whether a person sits at the other end.
    pub fn is_interactive(&self) -> bool {
        self.editor.is_some()
    }

    /// The next thing to do; `n_images` pictures wait for the next message.
    pub fn next(&mut self, n_images: usize) -> Result<Input> {
        let prompt = match n_images {
            0 => "> ".to_owned(),
            1 => "[1 picture] > ".to_owned(),
            n => format!("[{n} pictures] > "),
        };
        while let Some(text) = self.message(&prompt)? {
            match parse(&text) {
                Ok(Line::Turn(turn)) => return Ok(Input::Turn(turn)),
                Ok(Line::Help) => noteln!("{HELP}"),
                Ok(Line::Quit) => break,
                Ok(Line::Nothing) => {}
                Err(error) if self.is_interactive() => noteln!("error: {error}"),
                Err(error) => return Err(error),
            }
        }
        Ok(Input::End)
    }

    /// A line with those that continue it; `None` at the end.
    fn message(&mut self, prompt: &str) -> Result<Option<String>> {
        let mut text = String::new();
        let mut prompt = prompt;
        loop {
            let Some(line) = self.line(prompt)? else {
                return Ok((!text.is_empty()).then_some(text));
            };
            match line.strip_suffix('\\') {
                Some(start) => {
                    text.push_str(start);
                    text.push('\n');
                    prompt = "… ";
                }
                None => {
                    text.push_str(&line);
                    return Ok(Some(text));
                }
            }
        }
    }

    fn line(&mut self, prompt: &str) -> Result<Option<String>> {
        let Some(editor) = &mut self.editor else {
            let mut line = String::new();
            let n = io::stdin()
                .lock()
                .read_line(&mut line)
                .map_err(|e| Error::io("standard input", "read", e))?;
            let line = line.trim_end_matches(['\n', '\r']);
            return Ok((n > 0).then(|| line.to_owned()));
        };
        loop {
            match editor.readline(prompt) {
                Ok(line) => {
                    // Recall is a convenience: a line that cannot be kept is still a line.
                    _ = editor.add_history_entry(&line);
                    return Ok(Some(line));
                }
                Err(ReadlineError::Eof) => return Ok(None),
                Err(ReadlineError::Interrupted) => noteln!("(Ctrl-D or /quit leaves)"),
                Err(e) => return Err(unreadable(e)),
            }
        }
    }
}

fn unreadable(e: ReadlineError) -> Error {
    Error::new(ErrorKind::Io, format!("the terminal cannot be read: {e}")).with_source(e)
}

fn parse(text: &str) -> Result<Line> {
    let text = text.trim();
    let Some(command) = text.strip_prefix('/') else {
        return Ok(match text {
            "" => Line::Nothing,
            _ => Line::Turn(Turn::Text(text.to_owned())),
        });
    };
    let (name, rest) = command
        .split_once(char::is_whitespace)
        .unwrap_or((command, ""));
    match (name, unquote(rest.trim())) {
        ("image", "") => Err(wrong("/image needs the path of a picture".to_owned())),
        ("image", path) => Ok(Line::Turn(Turn::Image(PathBuf::from(path)))),
        ("reset", "") => Ok(Line::Turn(Turn::Reset)),
        ("help", "") => Ok(Line::Help),
        ("quit" | "exit", "") => Ok(Line::Quit),
        ("reset" | "help" | "quit" | "exit", rest) => {
            Err(wrong(format!("/{name} takes no argument, found {rest:?}")))
        }
        _ => Err(wrong(format!(
            "there is no command /{name}; /help lists them; a message cannot begin with /"
        ))),
    }
}

/// A path as terminals paste it when a file is dropped on them: in quotes.
fn unquote(text: &str) -> &str {
    ['\'', '"']
        .iter()
        .find_map(|&quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_commands_or_text() {
        let image = |path: &str| Line::Turn(Turn::Image(path.into()));
        for (text, expected) in [
            ("/image a b.png", image("a b.png")),
            ("/image 'a b.png'", image("a b.png")),
            ("  /image  \"x.png\" ", image("x.png")),
            ("/reset", Line::Turn(Turn::Reset)),
            ("/quit", Line::Quit),
            ("/help", Line::Help),
            ("", Line::Nothing),
            (" What? ", Line::Turn(Turn::Text("What?".into()))),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn mistyped_commands_are_not_sent_as_text() {
        for text in ["/imgae x.png", "/image", "/reset now", "/"] {
            let e = parse(text).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::InvalidArgument, "{text:?}");
        }
    }
}
