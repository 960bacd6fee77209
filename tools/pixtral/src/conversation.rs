//! A conversation at the terminal: the messages so far and the session that has read them.

use crate::{
    ask::{self, Show},
    placement,
};
use pixtral::{
    Error, ErrorKind, Result,
    chat::{ChatRequest, ChatTemplate, Message, Part},
    runtime::Model,
    session::{Answer, GenerateOptions, Session, SessionOptions},
};
use pixtral_terminal::Interrupt;
use std::sync::Arc;

/// Messages and session of one conversation.
pub struct Conversation {
    session: Session,
    template: ChatTemplate,
    options: GenerateOptions,
    system: Option<String>,
    messages: Vec<Message>,
}

impl Conversation {
    /// An empty conversation with `model`, in which the system message is `system`. `interrupt` stops
    /// the moving of weights to devices.
    pub fn new(
        model: Arc<Model>,
        session: SessionOptions,
        options: GenerateOptions,
        system: Option<String>,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        Ok(Self {
            template: ChatTemplate::new(model.tokenizer(), &model.config().vision)?,
            session: placement::start(model, session, interrupt)?,
            options,
            system,
            messages: Vec::new(),
        })
    }

    /// Sends a message of the user and returns the answer, which is then part of the
    /// conversation, also if it was cut short. If there is none, or one without text (which the
    /// template cannot express), the message is forgotten.
    pub fn ask(&mut self, parts: Vec<Part>, interrupt: &Interrupt, show: Show) -> Result<Answer> {
        self.messages.push(Message::user(parts));
        let answer = self.answer(interrupt, show);
        match &answer {
            Ok(answer) if !answer.text.is_empty() => {
                self.messages.push(Message::assistant(answer.text.clone()));
            }
            _ => _ = self.messages.pop(),
        }
        answer
    }

    fn answer(&mut self, interrupt: &Interrupt, show: Show) -> Result<Answer> {
        let system = self.system.iter().map(Message::system);
        let messages = system.chain(self.messages.iter().cloned()).collect();
        let request = ChatRequest::new(messages);
        let prompt = self.template.encode(&request, &mut |url| {
            Err(Error::new(
                ErrorKind::Internal,
                format!("{url}: a picture was not prepared"),
            ))
        })?;
        ask::ask(&mut self.session, &prompt, &self.options, interrupt, show)
    }

    /// The messages so far, the system message not among them.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The system message.
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// The session that has read them.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Goes on after `messages`. Their system message is `system`, unless the conversation was begun
    /// with another.
    pub fn resume(&mut self, system: Option<String>, messages: Vec<Message>) {
        self.system = self.system.take().or(system);
        self.messages = messages;
    }

    /// Forgets all messages.
    pub fn reset(&mut self) {
        self.messages.clear();
        self.session.clear();
    }

    /// The error that an incomplete answer amounts to, if it is one.
    pub fn incomplete(&self, answer: &Answer) -> Option<Error> {
        ask::incomplete(answer, &self.session, &self.options)
    }
}
