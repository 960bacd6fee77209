//! Pictures named on the command line: read, decoded and prepared for the model; and kept as files,
//! to be prepared again the same way in a later run.

use clap::Args;
use pixtral::{
    Error, Result,
    chat::Part,
    config::VisionConfig,
    preprocess::{DecodeLimits, PreprocessOptions, Preprocessor},
};
use serde::{Deserialize, Serialize};
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
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
        Preprocessor::new(vision, self.preprocess())
    }

    /// The settings as the library takes them.
    pub fn preprocess(&self) -> PreprocessOptions {
        PreprocessOptions {
            max_image_tokens: self.max_image_tokens,
            exif_rotate: self.exif_rotate,
            ..PreprocessOptions::default()
        }
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
    let (name, bytes) = read(path)?;
    Ok(Part::image(Arc::new(preprocessor.prepare(&name, &bytes)?)))
}

/// Name and content of the file `path`, or of standard input if that is `-`.
fn read(path: &Path) -> Result<(String, Vec<u8>)> {
    if path != Path::new(STDIN) {
        let bytes = DecodeLimits::default().read_file(path)?;
        return Ok((path.display().to_string(), bytes));
    }
    let name = "standard input".to_owned();
    let mut bytes = Vec::new();
    // One byte more than is accepted, for the refusal to notice; not all of an endless pipe.
    io::stdin()
        .take(DecodeLimits::default().max_file_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(&name, "read", e))?;
    Ok((name, bytes))
}

/// A picture as it was given: all that is needed to prepare it again. The encoded file is usually
/// smaller than prepared pixels.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptPicture {
    name: String,
    #[serde(with = "in_base64")]
    file: Vec<u8>,
    settings: PictureArgs,
}

impl KeptPicture {
    /// The file `path`, or standard input if that is `-`, which is to be prepared by `settings`.
    pub fn read(path: &Path, settings: &PictureArgs) -> Result<Self> {
        let (name, file) = read(path)?;
        Ok(Self {
            name,
            file,
            settings: settings.clone(),
        })
    }

    /// The picture as part of a message to a model with this vision tower.
    pub fn prepare(&self, vision: &VisionConfig) -> Result<Part> {
        let preprocessor = self.settings.preprocessor(vision);
        let image = preprocessor.prepare(&self.name, &self.file)?;
        Ok(Part::image(Arc::new(image)))
    }
}

/// Bytes in JSON.
mod in_base64 {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD
            .decode(String::deserialize(from)?)
            .map_err(D::Error::custom)
    }
}
