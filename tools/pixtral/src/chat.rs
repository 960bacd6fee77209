//! `pixtral chat`: a conversation of several turns, with pictures.

use crate::{
    ask::{self, Show},
    conversation::Conversation,
    demo_model,
    options::{DecoderArgs, GenerateArgs},
    pictures::{self, PictureArgs},
    repl::{Input, Repl, Turn},
};
use clap::Args;
use pixtral::{ErrorKind, Result, chat::Part, preprocess::Preprocessor};
use pixtral_terminal::{Interrupt, noteln, outln};
use std::path::{Path, PathBuf};

/// Talk about pictures in several turns
#[derive(Args, Debug)]
#[command(after_help = "In the conversation:
  /image PATH   add a picture to the next message; several may be added
  /reset        forget the conversation
  /help         list these commands
  /quit         leave, as does Ctrl-D
A line that ends in \\ goes on in the next one. Ctrl-C stops an answer.

Examples:
  pixtral chat pixtral-12b-q4_k.gguf
  pixtral chat pixtral-12b-q4_k.gguf --image plan.png --system 'Answer in one sentence.'
  printf '/image a.png\\nWhat is this?\\n' | pixtral chat pixtral-12b-q4_k.gguf --json")]
pub struct ChatArgs {
    /// Model file (GGUF, as pixtral-quantize writes it) [default: the demonstration model]
    model: Option<PathBuf>,
    /// Picture for the first message; may be given several times
    #[arg(short, long = "image", value_name = "PATH")]
    images: Vec<PathBuf>,
    /// Instructions that the model is given before the conversation
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    decoder: DecoderArgs,
    #[command(flatten)]
    generate: GenerateArgs,
    /// Print one JSON object a turn, with the answer, token counts and times
    #[arg(long)]
    json: bool,
}

/// The conversation, and the pictures that wait for the next message.
struct Chat<'a> {
    args: &'a ChatArgs,
    interrupt: &'a Interrupt,
    conversation: Conversation,
    preprocessor: Preprocessor,
    waiting: Vec<Part>,
}

/// Runs the command.
pub fn run(args: &ChatArgs, interrupt: &Interrupt) -> Result<()> {
    let model = demo_model::open_or_demo(args.model.as_deref(), interrupt)?;
    let mut chat = Chat {
        args,
        interrupt,
        preprocessor: args.pictures.preprocessor(&model.config().vision),
        conversation: Conversation::new(model, &args.decoder, &args.generate, args.system.clone())?,
        waiting: Vec::new(),
    };
    for path in &args.images {
        chat.add_image(path)?;
    }
    let mut repl = Repl::new()?;
    let mut failed = None;
    while let Input::Turn(turn) = repl.next(chat.waiting.len())? {
        let Err(error) = chat.take(turn) else {
            continue;
        };
        // A person goes on after a mistake; a script must not miss it.
        if repl.is_interactive() {
            noteln!("error: {error}");
            if error.kind() == ErrorKind::ContextFull {
                noteln!("/reset forgets the conversation and makes room");
            }
        } else {
            failed = Some(error);
            break;
        }
    }
    failed.map_or(Ok(()), Err)
}

impl Chat<'_> {
    fn take(&mut self, turn: Turn) -> Result<()> {
        match turn {
            Turn::Image(path) => self.add_image(&path),
            Turn::Reset => {
                self.conversation.reset();
                self.waiting.clear();
                noteln!("the conversation is forgotten");
                Ok(())
            }
            Turn::Text(text) => self.say(text),
        }
    }

    fn add_image(&mut self, path: &Path) -> Result<()> {
        self.waiting.push(pictures::load(&self.preprocessor, path)?);
        Ok(())
    }

    fn say(&mut self, text: String) -> Result<()> {
        // The pictures stay for another try if there is no answer.
        let mut parts = self.waiting.clone();
        parts.push(Part::text(text));
        let show = match self.args.json {
            true => Show::Progress,
            false => Show::Stream,
        };
        let answer = self.conversation.ask(parts, self.interrupt, show)?;
        self.waiting.clear();
        match self.args.json {
            true => outln!("{}", ask::to_json(&answer))?,
            false => noteln!("{}", ask::timing_line(&answer)),
        }
        self.conversation.incomplete(&answer).map_or(Ok(()), Err)
    }
}
