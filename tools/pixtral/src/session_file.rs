//! The file that keeps a conversation: what the session has read, as the library writes it, and
//! beside it, as JSON, the messages with the pictures' own files. Both are replaced in one step.

use crate::{conversation::Conversation, pictures::KeptPicture};
use pixtral::{
    Error, ErrorKind, Result,
    chat::{Message, Part},
    config::VisionConfig,
};
use pixtral_terminal::noteln;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A session file in use.
pub struct SessionFile {
    path: PathBuf,
    /// The pictures of the messages, in order.
    pictures: Vec<KeptPicture>,
    /// Whether the conversation has changed since it was saved.
    unsaved: bool,
}

/// The messages as they are kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    system: Option<String>,
    messages: Vec<KeptMessage>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum KeptMessage {
    User(Vec<KeptPart>),
    Assistant(String),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum KeptPart {
    Text(String),
    Picture(KeptPicture),
}

impl SessionFile {
    /// Continues the conversation in the file `path`, and says so, or begins the file with this one
    /// if there is none: a place that cannot be written is known before anything is asked.
    ///
    /// Errors, leaving the file as it is, if it cannot be continued.
    pub fn open(
        path: &Path,
        conversation: &mut Conversation,
        vision: &VisionConfig,
    ) -> Result<Self> {
        let mut file = Self {
            path: path.to_owned(),
            pictures: Vec::new(),
            unsaved: true,
        };
        match conversation.session().restore(path) {
            Ok(note) => file.continue_from(&note, conversation, vision)?,
            Err(e) if e.kind() == ErrorKind::NotFound => file.save(conversation)?,
            Err(e) => return Err(e),
        }
        Ok(file)
    }

    fn continue_from(
        &mut self,
        note: &[u8],
        conversation: &mut Conversation,
        vision: &VisionConfig,
    ) -> Result<()> {
        let kept: Kept = serde_json::from_slice(note).map_err(|e| {
            Error::new(
                ErrorKind::InvalidFile,
                format!(
                    "{}: its messages cannot be read ({e}); choose another file",
                    self.path.display()
                ),
            )
            .with_source(e)
        })?;
        let messages = kept
            .messages
            .into_iter()
            .map(|message| self.message(message, vision))
            .collect::<Result<Vec<_>>>()
            .map_err(|e| e.context(self.path.display()))?;
        noteln!(
            "going on with {}: {} messages, {} tokens",
            self.path.display(),
            messages.len(),
            conversation.session().len()
        );
        conversation.resume(kept.system, messages);
        self.unsaved = false;
        Ok(())
    }

    fn message(&mut self, message: KeptMessage, vision: &VisionConfig) -> Result<Message> {
        let parts = match message {
            KeptMessage::User(parts) => parts,
            KeptMessage::Assistant(text) => return Ok(Message::assistant(text)),
        };
        let mut part = |part| match part {
            KeptPart::Text(text) => Ok(Part::Text(text)),
            KeptPart::Picture(picture) => {
                let prepared = picture.prepare(vision)?;
                self.pictures.push(picture);
                Ok(prepared)
            }
        };
        let parts = parts
            .into_iter()
            .map(&mut part)
            .collect::<Result<Vec<Part>>>()?;
        Ok(Message::User { parts })
    }

    /// Takes note of an answer to a message with `pictures`.
    pub fn grown(&mut self, pictures: impl Iterator<Item = KeptPicture>) {
        self.pictures.extend(pictures);
        self.unsaved = true;
    }

    /// Takes note that the conversation was forgotten.
    pub fn reset(&mut self) {
        self.pictures.clear();
        self.unsaved = true;
    }

    /// Writes `conversation` if it has changed.
    pub fn save(&mut self, conversation: &mut Conversation) -> Result<()> {
        if !self.unsaved {
            return Ok(());
        }
        let mut pictures = self.pictures.iter().cloned();
        let messages = conversation.messages().iter();
        let kept = Kept {
            system: conversation.system().map(str::to_owned),
            messages: messages
                .map(|message| keep(message, &mut pictures))
                .collect::<Result<_>>()?,
        };
        let note = serde_json::to_vec(&kept).map_err(|e| {
            Error::new(ErrorKind::Internal, format!("messages are no JSON: {e}")).with_source(e)
        })?;
        conversation.session().save(&self.path, &note)?;
        self.unsaved = false;
        Ok(())
    }
}

/// `message` with its pictures, which are the next of `pictures`.
fn keep(
    message: &Message,
    pictures: &mut impl Iterator<Item = KeptPicture>,
) -> Result<KeptMessage> {
    let internal = |what| Error::new(ErrorKind::Internal, what);
    match message {
        Message::Assistant { texts, .. } => Ok(KeptMessage::Assistant(texts.concat())),
        Message::User { parts } => parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Ok(KeptPart::Text(text.clone())),
                Part::Image(_) => pictures
                    .next()
                    .map(KeptPart::Picture)
                    .ok_or_else(|| internal("a picture of the conversation was not kept")),
            })
            .collect::<Result<_>>()
            .map(KeptMessage::User),
        _ => Err(internal("a chat has messages of user and model only")),
    }
}
