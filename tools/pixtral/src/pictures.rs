//! Pictures named on the command line: read, decoded and prepared for the model.

use clap::Args;
use pixtral::{
    Error, Result,
    chat::Part,
    config::VisionConfig,
    preprocess::{PreprocessOptions, Preprocessor},
};
use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

/// How pictures are prepared.
#[derive(Args, Debug)]
pub struct PictureArgs {
    /// Most tokens that a picture may take; larger pictures are scaled down further than usual
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    max_image_tokens: Option<u32>,
    /// Turn photos the way up that their EXIF data says (Mistral's own code does not)
    #[arg(long)]
    exif_rotate: bool,
}

impl PictureArgs {
    /// What prepares pictures for a model with this vision tower.
    pub fn preprocessor(&self, vision: &VisionConfig) -> Preprocessor {
        let options = PreprocessOptions {
            max_image_tokens: self.max_image_tokens,
            exif_rotate: self.exif_rotate,
            ..PreprocessOptions::default()
        };
        Preprocessor::new(vision, options)
    }
}

/// The picture in the file `path`, or on standard input if that is `-`, as part of a message.
pub fn load(preprocessor: &Preprocessor, path: &Path) -> Result<Part> {
    let image = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|e| Error::io("standard input", "read", e))?;
        preprocessor.prepare("standard input", &bytes)?
    } else {
        preprocessor.prepare_file(path)?
    };
    Ok(Part::image(Arc::new(image)))
}
