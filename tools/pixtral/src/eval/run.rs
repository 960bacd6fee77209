//! Asking the questions of an entry, each entry in a conversation of its own.

use super::dataset::Entry;
use crate::{ask::Show, conversation::Conversation, pictures};
use pixtral::{Error, ErrorKind, Result, chat::Part, preprocess::Preprocessor};
use pixtral_terminal::Interrupt;

/// What answers entries; one session serves them all.
pub struct Runner<'a> {
    /// The conversation, begun anew for each entry.
    pub conversation: Conversation,
    /// Prepares the pictures.
    pub preprocessor: Preprocessor,
    /// Ends an answer early.
    pub interrupt: &'a Interrupt,
}

/// What became of an entry.
pub enum Outcome {
    /// One answer for each turn.
    Answered(Vec<String>),
    /// It cannot be asked; others can.
    Unusable(Error),
}

impl Runner<'_> {
    /// Asks the questions of `entry`. The model's own answers stay in the conversation.
    ///
    /// Errors if the run cannot go on, of kind `Cancelled` if it was interrupted.
    pub fn answer(&mut self, entry: &Entry) -> Result<Outcome> {
        let images: Result<Vec<Part>> = entry
            .images
            .iter()
            .map(|path| pictures::load(&self.preprocessor, path))
            .collect();
        let mut parts = match images {
            Ok(images) => images,
            Err(error) => return Ok(Outcome::Unusable(error)),
        };
        self.conversation.reset();
        let mut answers = Vec::new();
        for turn in &entry.turns {
            parts.push(Part::Text(turn.question.clone()));
            let asked = self.ask(std::mem::take(&mut parts));
            match asked {
                Ok(text) => answers.push(text),
                Err(error) if is_of_the_entry(error.kind()) => {
                    return Ok(Outcome::Unusable(error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Outcome::Answered(answers))
    }

    fn ask(&mut self, parts: Vec<Part>) -> Result<String> {
        let answer = self
            .conversation
            .ask(parts, self.interrupt, Show::Nothing)?;
        match self.conversation.incomplete(&answer) {
            Some(error) => Err(error),
            None => Ok(answer.text),
        }
    }
}

/// Whether an error of `kind` lies in what is asked, so that other entries may do.
fn is_of_the_entry(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ContextFull
            | ErrorKind::InvalidMessageStructure
            | ErrorKind::InvalidAssistantMessage
            | ErrorKind::InvalidRequest
            | ErrorKind::InvalidValue
    )
}
