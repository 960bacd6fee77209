//! Pictures made for the tests.

mod formats;
mod refusals;

use super::*;
use ::gif::{Encoder as GifEncoder, Frame};
use ::png::{BitDepth, ColorType as PngColor, Encoder as PngEncoder};
use image::{DynamicImage, ExtendedColorType, codecs::jpeg::JpegEncoder};
use std::borrow::Cow;

fn try_decode(bytes: &[u8]) -> Result<Rgb8Image> {
    decode(bytes, false, &DecodeLimits::default())
}

fn decoded(bytes: &[u8]) -> Rgb8Image {
    try_decode(bytes).unwrap()
}

/// The red samples, for pictures that are grey.
fn reds(bytes: &[u8]) -> Vec<u8> {
    decoded(bytes).data.into_iter().step_by(3).collect()
}

/// The sentence with which a picture is refused.
fn refusal(bytes: &[u8], kind: ErrorKind) -> String {
    let error = try_decode(bytes).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    error.message().to_owned()
}

/// A PNG file of one row.
struct Png<'a> {
    width: u32,
    color: PngColor,
    depth: BitDepth,
    palette: &'a [u8],
    trns: &'a [u8],
    row: &'a [u8],
}

impl Default for Png<'_> {
    fn default() -> Self {
        Self {
            width: 4,
            color: PngColor::Grayscale,
            depth: BitDepth::Eight,
            palette: &[],
            trns: &[],
            row: &[],
        }
    }
}

impl Png<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = PngEncoder::new(&mut out, self.width, 1);
        encoder.set_color(self.color);
        encoder.set_depth(self.depth);
        if !self.palette.is_empty() {
            encoder.set_palette(self.palette);
        }
        if !self.trns.is_empty() {
            encoder.set_trns(self.trns);
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(self.row).unwrap();
        writer.finish().unwrap();
        out
    }
}

/// A GIF file of one frame.
fn gif(screen: (u16, u16), palette: &[u8], frame: Frame) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = GifEncoder::new(&mut out, screen.0, screen.1, palette).unwrap();
    encoder.write_frame(&frame).unwrap();
    drop(encoder);
    out
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// Some RGB picture of 5 × 3 pixels, and its bytes.
fn some_rgb() -> (DynamicImage, Vec<u8>) {
    let data: Vec<u8> = (0..45).map(|i| (i * 37 % 256) as u8).collect();
    let image = RgbImage::from_raw(5, 3, data.clone()).unwrap();
    (DynamicImage::from(image), data)
}

fn jpeg(image: &DynamicImage) -> Vec<u8> {
    encoded(image, ImageFormat::Jpeg)
}
