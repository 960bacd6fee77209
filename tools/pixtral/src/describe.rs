//! `pixtral describe`: one question about pictures, one answer.

use crate::{
    ask::{self, Show},
    constraint::ConstraintArgs,
    conversation::Conversation,
    demo_model,
    options::{CacheArgs, DecoderArgs, GenerateArgs},
    pictures::{self, PictureArgs},
    placement::{self, PlanArgs},
};
use clap::Args;
use pixtral::{Result, chat::Part};
use pixtral_terminal::{Interrupt, noteln, outln};
use std::path::PathBuf;

/// Ask one question about pictures
#[derive(Args, Debug)]
#[command(
    override_usage = "pixtral describe [OPTIONS] [MODEL] <IMAGE>...",
    after_help = "Examples:
  pixtral describe drawing.png
  pixtral describe pixtral-12b-q4_k.gguf photo.jpg
  pixtral describe pixtral-12b-q4_k.gguf receipt.png --prompt 'What is the total?'
  pixtral describe pixtral-12b-q4_k.gguf before.png after.png --prompt 'What changed?'
  pixtral describe pixtral-12b-q4_k.gguf receipt.png --schema receipt.schema.json
  pixtral describe pixtral-12b-q4_k.gguf photo.jpg --prompt 'Is it day?' --regex '(yes|no)'
  curl -s https://example.org/chart.png | pixtral describe pixtral-12b-q4_k.gguf - --json"
)]
pub struct DescribeArgs {
    /// Model file (GGUF, as pixtral-quantize writes it; the demonstration model if absent), then
    /// pictures (PNG, JPEG, WebP, GIF, BMP or TIFF), `-` for standard input
    #[arg(required = true, value_names = ["MODEL", "IMAGE"])]
    files: Vec<PathBuf>,
    /// What to ask
    #[arg(
        short,
        long,
        value_name = "TEXT",
        default_value = "Describe the image."
    )]
    prompt: String,
    /// Instructions that the model is given before the question
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
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
    /// Print one JSON object with the answer, token counts and times
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &DescribeArgs, interrupt: &Interrupt) -> Result<()> {
    let (model, images) = pictures::split_model(&args.files);
    if images.is_empty() {
        let missing = format!("there is no IMAGE after {}", args.files[0].display());
        crate::usage_error("describe", &missing);
    }
    let model = demo_model::open_or_demo(model, interrupt)?;
    let options = args.cache.session(&args.decoder);
    if args.plan.wanted {
        return placement::show_plan(&model, &options, args.json);
    }
    let preprocessor = args.pictures.preprocessor(&model.config().vision);
    let mut parts = images
        .iter()
        .map(|path| pictures::load(&preprocessor, path))
        .collect::<Result<Vec<Part>>>()?;
    parts.push(Part::text(args.prompt.clone()));

    let generate = args.constraint.options(&args.generate, &model)?;
    let mut conversation =
        Conversation::new(model, options, generate, args.system.clone(), interrupt)?;
    let show = match args.json {
        true => Show::Progress,
        false => Show::Stream,
    };
    let answer = conversation.ask(parts, interrupt, show)?;
    match args.json {
        true => outln!("{}", ask::to_json(&answer))?,
        false => noteln!("{}", ask::timing_line(&answer)),
    }
    conversation.incomplete(&answer).map_or(Ok(()), Err)
}
