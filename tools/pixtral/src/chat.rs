//! `pixtral chat`: a conversation of several turns, with pictures.

use crate::{
    ask::{self, Show},
    constraint::ConstraintArgs,
    conversation::Conversation,
    demo_model,
    options::{CacheArgs, DecoderArgs, GenerateArgs},
    pictures::{KeptPicture, PictureArgs},
    placement::{self, PlanArgs},
    repl::{Input, Repl, Turn},
    session_file::SessionFile,
};
use clap::Args;
use pixtral::{ErrorKind, Result, chat::Part, config::VisionConfig};
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
  pixtral chat pixtral-12b-q4_k.gguf --session plan.session --image plan.png
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
    /// Go on with the conversation in FILE, if it exists, and keep it there after each answer; it
    /// takes 160 KiB a token for Pixtral-12B
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    decoder: DecoderArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    generate: GenerateArgs,
    #[command(flatten)]
    constraint: ConstraintArgs,
    /// Print one JSON object a turn, with the answer, token counts and times
    #[arg(long)]
    json: bool,
}

/// The conversation, and the pictures that wait for the next message.
struct Chat<'a> {
    args: &'a ChatArgs,
    interrupt: &'a Interrupt,
    conversation: Conversation,
    file: Option<SessionFile>,
    vision: VisionConfig,
    waiting: Vec<(Part, KeptPicture)>,
}

/// Runs the command.
pub fn run(args: &ChatArgs, interrupt: &Interrupt) -> Result<()> {
    let model = demo_model::open_or_demo(args.model.as_deref(), interrupt)?;
    let vision = model.config().vision.clone();
    let session = args.cache.session(&args.decoder);
    if args.plan.wanted {
        return placement::show_plan(&model, &session, args.json);
    }
    let options = args.constraint.options(&args.generate, &model)?;
    let mut conversation =
        Conversation::new(model, session, options, args.system.clone(), interrupt)?;
    let file = args
        .session
        .as_deref()
        .map(|path| SessionFile::open(path, &mut conversation, &vision))
        .transpose()?;
    let mut chat = Chat {
        args,
        interrupt,
        conversation,
        file,
        vision,
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
    let kept = chat.keep();
    failed.map_or(kept, Err)
}

impl Chat<'_> {
    fn take(&mut self, turn: Turn) -> Result<()> {
        match turn {
            Turn::Image(path) => self.add_image(&path),
            Turn::Reset => {
                self.conversation.reset();
                self.waiting.clear();
                if let Some(file) = &mut self.file {
                    file.reset();
                }
                noteln!("the conversation is forgotten");
                self.keep()
            }
            Turn::Text(text) => self.say(text),
        }
    }

    fn add_image(&mut self, path: &Path) -> Result<()> {
        let picture = KeptPicture::read(path, &self.args.pictures)?;
        self.waiting.push((picture.prepare(&self.vision)?, picture));
        Ok(())
    }

    /// Brings the session file, if there is one, up to date.
    fn keep(&mut self) -> Result<()> {
        match &mut self.file {
            Some(file) => file.save(&mut self.conversation),
            None => Ok(()),
        }
    }

    fn say(&mut self, text: String) -> Result<()> {
        // The pictures stay for another try if there is no answer.
        let mut parts: Vec<Part> = self.waiting.iter().map(|(part, _)| part.clone()).collect();
        parts.push(Part::text(text));
        let show = match self.args.json {
            true => Show::Progress,
            false => Show::Stream,
        };
        let answer = self.conversation.ask(parts, self.interrupt, show)?;
        let pictures = std::mem::take(&mut self.waiting).into_iter();
        if let Some(file) = &mut self.file {
            file.grown(pictures.map(|(_, picture)| picture));
        }
        match self.args.json {
            true => outln!("{}", ask::to_json(&answer))?,
            false => noteln!("{}", ask::timing_line(&answer)),
        }
        self.keep()?;
        self.conversation.incomplete(&answer).map_or(Ok(()), Err)
    }
}
