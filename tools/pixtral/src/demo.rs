//! `pixtral demo`: the whole road with nothing but this program. Converts the demonstration model,
//! shows it pictures and asks about them.

use crate::{
    ask::{self, Show},
    conversation::Conversation,
    demo_model,
    options::{DecoderArgs, GenerateArgs},
    show,
};
use clap::Args;
use pixtral::{
    Error, ErrorKind, Result,
    chat::Part,
    preprocess::{PreprocessOptions, Preprocessor},
};
use pixtral_terminal::{Interrupt, noteln, outln};
use std::{io, sync::Arc};

/// Show a small trained model at work on bundled pictures
#[derive(Args, Debug)]
#[command(
    after_help = "The model has 7.6 million weights and is part of this program. It was trained on
drawn pictures only: shapes, printed words, bar charts. Ask it about your own:
  pixtral describe drawing.png
  pixtral chat"
)]
pub struct DemoArgs {
    #[command(flatten)]
    decoder: DecoderArgs,
    #[command(flatten)]
    generate: GenerateArgs,
}

/// Pictures shown together, and what is asked about them, one question after another.
struct Scene {
    pictures: &'static [(&'static str, &'static [u8])],
    questions: &'static [&'static str],
}

const SCENES: [Scene; 4] = [
    Scene {
        pictures: &[("demo.png", include_bytes!("../demo/demo.png"))],
        questions: &["Describe the image.", "What colour is the heart?"],
    },
    Scene {
        pictures: &[("chart.png", include_bytes!("../demo/chart.png"))],
        questions: &["Which bar is highest?"],
    },
    Scene {
        pictures: &[("sign.png", include_bytes!("../demo/sign.png"))],
        questions: &["What is written?"],
    },
    Scene {
        pictures: &[
            ("before.png", include_bytes!("../demo/before.png")),
            ("after.png", include_bytes!("../demo/after.png")),
        ],
        questions: &["What changed?"],
    },
];

/// Runs the command.
pub fn run(args: &DemoArgs, interrupt: &Interrupt) -> Result<()> {
    let model = demo_model::open(interrupt)?;
    let preprocessor = Preprocessor::new(&model.config().vision, PreprocessOptions::default());
    let mut conversation = Conversation::new(
        model,
        args.decoder.session(),
        args.generate.options(),
        None,
        interrupt,
    )?;
    for scene in &SCENES {
        conversation.reset();
        let mut parts = Vec::new();
        for (name, png) in scene.pictures {
            display(name, png)?;
            parts.push(Part::image(Arc::new(preprocessor.prepare(name, png)?)));
        }
        for question in scene.questions {
            outln!("> {question}")?;
            parts.push(Part::text(*question));
            let answer = conversation.ask(std::mem::take(&mut parts), interrupt, Show::Stream)?;
            noteln!("{}\n", ask::timing_line(&answer));
            conversation.incomplete(&answer).map_or(Ok(()), Err)?;
        }
    }
    Ok(())
}

/// Shows a picture in the terminal; says its name where that is not possible.
fn display(name: &str, png: &[u8]) -> Result<()> {
    let image = image::load_from_memory(png)
        .map_err(|e| Error::new(ErrorKind::InvalidImage, format!("{name}: {e}")).with_source(e))?;
    let shown = show::show(&image.into_rgb8(), &mut io::stdout())
        .map_err(|e| Error::io("standard output", "write to", e))?;
    match shown {
        true => Ok(()),
        false => outln!("[{name}]"),
    }
}
