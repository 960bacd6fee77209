//! From a picture's file to what the vision tower takes: decode, resize, normalise.
//!
//! Owns every step between bytes and normalised pixels, following mistral_common's image encoder
//! (with Pillow and OpenCV beneath it) to the last rounding; `docs/MODEL.md` has the rules. Of
//! the model it knows the longest side and the patch size. It must not know tokens' ids,
//! prompts, graphs or devices.

mod decode;
mod flatten;
mod grid;
mod limits;
mod palette;
mod prepared;
mod resize;

pub use decode::Rgb8Image;
pub use grid::Patches;
pub use limits::DecodeLimits;
pub use prepared::PreparedImage;
pub(crate) use resize::{MEAN, STD};

use crate::{Error, ErrorKind, Result, config::VisionConfig};
use grid::GridRule;
use std::path::Path;

/// What may differ from the reference, which is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreprocessOptions {
    /// Tokens that one picture may take in the prompt: a picture that would take more is scaled
    /// further down. Two, which is one patch, is the least.
    pub max_image_tokens: Option<u32>,
    /// Whether to turn a picture as its EXIF data says. The reference does not.
    pub exif_rotate: bool,
    /// Beyond what a picture is refused.
    pub limits: DecodeLimits,
}

/// Prepares pictures for one model.
#[derive(Clone, Debug)]
pub struct Preprocessor {
    rule: GridRule,
    options: PreprocessOptions,
}

impl Preprocessor {
    /// A preprocessor for models of the (valid) shape `vision`.
    pub fn new(vision: &VisionConfig, options: PreprocessOptions) -> Self {
        Self {
            rule: GridRule::new(vision, options.max_image_tokens),
            options,
        }
    }

    /// The grid that a picture of `width` × `height` pixels gets.
    pub fn grid(&self, width: u32, height: u32) -> Patches {
        self.rule.grid(width, height)
    }

    /// Decodes and prepares the PNG, JPEG, WebP, GIF, BMP or TIFF picture `bytes`, called `name`
    /// in errors.
    ///
    /// Errors with `InvalidImage` if it cannot be decoded and with `ImageTooLarge` if it is
    /// beyond the limits.
    pub fn prepare(&self, name: &str, bytes: &[u8]) -> Result<PreparedImage> {
        self.resize(&self.decode(name, bytes)?)
            .map_err(|error| error.context(name))
    }

    /// Decodes and prepares the picture in the file `path`.
    ///
    /// Errors as [`prepare`](Self::prepare), or if the file cannot be read.
    pub fn prepare_file(&self, path: &Path) -> Result<PreparedImage> {
        let bytes = self.options.limits.read_file(path)?;
        self.prepare(&path.display().to_string(), &bytes)
    }

    /// Prepares a picture given as RGB of 8 bits, shape [height, width, 3].
    ///
    /// Errors if `rgb` has another length, or if the picture is empty or beyond the limits.
    pub fn prepare_rgb(&self, width: u32, height: u32, rgb: &[u8]) -> Result<PreparedImage> {
        self.options.limits.check_size(width, height)?;
        let (pixels, rest) = rgb.as_chunks();
        if pixels.len() as u64 != u64::from(width) * u64::from(height) || !rest.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "a picture of {width}x{height} has {} bytes of RGB, found {}",
                    3 * u64::from(width) * u64::from(height),
                    rgb.len()
                ),
            ));
        }
        let grid = self.grid(width, height);
        let patch_size = self.rule.patch_size();
        let (out_width, out_height) = (grid.cols * patch_size, grid.rows * patch_size);
        let n_values = 3 * u64::from(out_width) * u64::from(out_height);
        self.options
            .limits
            .check_memory(n_values * size_of::<f32>() as u64)?;
        Ok(PreparedImage {
            pixels: resize::resize_normalised(pixels, (width, height), (out_width, out_height)),
            width: out_width,
            height: out_height,
            grid,
        })
    }

    /// The first step of [`prepare`](Self::prepare): the picture as RGB, before it is resized.
    pub fn decode(&self, name: &str, bytes: &[u8]) -> Result<Rgb8Image> {
        decode::decode(bytes, self.options.exif_rotate, &self.options.limits)
            .map_err(|error| error.context(name))
    }

    fn resize(&self, image: &Rgb8Image) -> Result<PreparedImage> {
        self.prepare_rgb(image.width, image.height, &image.data)
    }
}

#[cfg(test)]
mod tests;
