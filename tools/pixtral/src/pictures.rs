//! Pictures named on the command line: read, decoded and prepared for the model.

use clap::Args;
use pixtral::{
    Error, Result,
    chat::Part,
    config::VisionConfig,
    preprocess::{PreprocessOptions, Preprocessor},
};
use serde_json::{Map, Value, json};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Stands for standard input.
const STDIN: &str = "-";

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

    /// The settings by name: answers depend on them.
    pub fn settings(&self) -> Map<String, Value> {
        let settings = [
            ("max_image_tokens", json!(self.max_image_tokens)),
            ("exif_rotate", json!(self.exif_rotate)),
        ];
        settings
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect()
    }
}

/// Tells a model from pictures: the first of `files` is a model, unless it is called like a picture
/// or begins like one.
pub fn split_model(files: &[PathBuf]) -> (Option<&Path>, &[PathBuf]) {
    match files.split_first() {
        Some((first, rest)) if !is_picture(first) => (Some(first), rest),
        _ => (None, files),
    }
}

fn is_picture(path: &Path) -> bool {
    if path == Path::new(STDIN) {
        return true;
    }
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let mut start = Vec::new();
    ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"]
        .iter()
        .any(|known| extension == *known)
        || File::open(path)
            .and_then(|file| file.take(32).read_to_end(&mut start))
            .is_ok_and(|_| image::guess_format(&start).is_ok())
}

/// The picture in the file `path`, or on standard input if that is `-`, as part of a message.
pub fn load(preprocessor: &Preprocessor, path: &Path) -> Result<Part> {
    let image = if path == Path::new(STDIN) {
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
