//! From an encoded picture to RGB of 8 bits, as the reference sees it through Pillow.
//!
//! The format is detected from the content. PNG, GIF and JPEG are read with crates of their own,
//! each for a reason that its module states; the others go through `image`. Of animations the
//! first frame counts. Knows files' formats, not patches or models.

mod gif;
mod jpeg;
mod png;

use super::{flatten, limits::DecodeLimits, limits::too_large};
use crate::{Error, ErrorKind, Result};
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, RgbImage,
    codecs::{bmp::BmpDecoder, tiff::TiffDecoder, webp::WebPDecoder},
    metadata::Orientation,
};
use std::io::Cursor;

/// What can be decoded, as error messages name it.
const FORMATS: &str = "PNG, JPEG, WebP, GIF, BMP or TIFF";

/// A picture of 8-bit RGB before it is resized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb8Image {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// Shape [height, width, 3].
    pub data: Vec<u8>,
}

/// A decoded picture, and how its file says that it should be turned.
struct Decoded {
    image: Rgb8Image,
    orientation: Orientation,
}

/// Decodes a picture. Its orientation in EXIF is applied if `exif_rotate`; that of a TIFF file,
/// which is part of the format, always, as Pillow does.
pub(super) fn decode(bytes: &[u8], exif_rotate: bool, limits: &DecodeLimits) -> Result<Rgb8Image> {
    limits.check_file(bytes)?;
    let input = Cursor::new(bytes);
    let format =
        image::guess_format(bytes).map_err(|_| unknown("not a picture of a known format"))?;
    let failed = |error| decode_error(format, error);
    let decoded = match format {
        ImageFormat::Png => png::decode(bytes, limits)?,
        ImageFormat::Gif => gif::decode(bytes, limits)?,
        ImageFormat::Jpeg => jpeg::decode(bytes, limits)?,
        ImageFormat::WebP => read(WebPDecoder::new(input).map_err(failed)?, format, limits)?,
        ImageFormat::Bmp => read(BmpDecoder::new(input).map_err(failed)?, format, limits)?,
        ImageFormat::Tiff => read(TiffDecoder::new(input).map_err(failed)?, format, limits)?,
        other => return Err(unknown(&format!("{} is not supported", name(other)))),
    };
    match exif_rotate || format == ImageFormat::Tiff {
        true => turn(decoded.image, decoded.orientation),
        false => Ok(decoded.image),
    }
}

/// Reads a picture through one of `image`'s decoders.
fn read(
    mut decoder: impl ImageDecoder,
    format: ImageFormat,
    limits: &DecodeLimits,
) -> Result<Decoded> {
    let failed = |error| decode_error(format, error);
    let (width, height) = decoder.dimensions();
    limits.check_size(width, height)?;
    let n_bytes = limits.check_memory(decoder.total_bytes())?;
    let mut decoder_limits = image::Limits::no_limits();
    decoder_limits.max_alloc = Some(limits.max_memory_bytes);
    decoder.set_limits(decoder_limits).map_err(failed)?;
    // Unreadable metadata is no reason to refuse the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let color = decoder.color_type();
    let mut pixels = vec![0; n_bytes];
    decoder.read_image(&mut pixels).map_err(failed)?;
    let data = flatten::to_rgb(color, pixels)?;
    Ok(Decoded {
        image: Rgb8Image {
            width,
            height,
            data,
        },
        orientation,
    })
}

/// What the EXIF block of a picture says of its orientation.
fn orientation(exif: Option<&[u8]>) -> Orientation {
    exif.and_then(Orientation::from_exif_chunk)
        .unwrap_or(Orientation::NoTransforms)
}

fn turn(image: Rgb8Image, orientation: Orientation) -> Result<Rgb8Image> {
    if orientation == Orientation::NoTransforms {
        return Ok(image);
    }
    let image = RgbImage::from_raw(image.width, image.height, image.data).ok_or_else(|| {
        Error::new(
            ErrorKind::Internal,
            "the decoded picture is shorter than its size",
        )
    })?;
    let mut image = DynamicImage::from(image);
    image.apply_orientation(orientation);
    let image = image.into_rgb8();
    Ok(Rgb8Image {
        width: image.width(),
        height: image.height(),
        data: image.into_raw(),
    })
}

/// The format's usual name.
fn name(format: ImageFormat) -> String {
    match format {
        ImageFormat::WebP => "WebP".into(),
        other => format!("{other:?}").to_uppercase(),
    }
}

fn unknown(what: &str) -> Error {
    Error::new(
        ErrorKind::InvalidImage,
        format!("{what}, expected {FORMATS}: convert it to one of these"),
    )
}

fn decode_error(format: ImageFormat, error: ImageError) -> Error {
    match error {
        ImageError::Limits(limit) => too_large(format!(
            "{limit} while decoding {}: scale the picture down",
            name(format)
        )),
        ImageError::Unsupported(what) => Error::new(
            ErrorKind::InvalidImage,
            format!("{what}: convert the picture to PNG or JPEG"),
        ),
        other => damaged(&name(format), other),
    }
}

/// An error of a file of the right format that cannot be decoded.
fn damaged(format: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(
        ErrorKind::InvalidImage,
        format!("the {format} picture is damaged or truncated: {error}"),
    )
    .with_source(error)
}

#[cfg(test)]
mod tests;
