//! PNG, with Pillow's treatment of transparency.
//!
//! A transparent colour (`tRNS`) counts for grey and palettes and is ignored for RGB. Pillow
//! compares it with the grey value after that was brought to 8 bits, so it is done here too.

use super::{Decoded, Rgb8Image, damaged, orientation};
use crate::{
    Error, Result,
    preprocess::{
        flatten,
        limits::{DecodeLimits, too_large},
        palette::colours,
    },
};
use image::ColorType;
use png::{BitDepth, ColorType as PngColor, Decoder, DecodingError, Info, Limits, Transformations};
use std::io::Cursor;

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded> {
    let mut decoder = Decoder::new_with_limits(
        Cursor::new(bytes),
        Limits {
            bytes: limits.memory_bytes(),
        },
    );
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::IDENTITY);
    let (width, height) = decoder.read_header_info().map_err(failed)?.size();
    limits.check_size(width, height)?;
    let mut reader = decoder.read_info().map_err(failed)?;
    let n_bytes = reader.output_buffer_size().unwrap_or(usize::MAX);
    let mut pixels = vec![0; limits.check_memory(n_bytes as u64)?];
    reader.next_frame(&mut pixels).map_err(failed)?;
    let info = reader.info();
    let orientation = orientation(info.exif_metadata.as_deref());
    Ok(Decoded {
        image: Rgb8Image {
            width,
            height,
            data: to_rgb(info, pixels)?,
        },
        orientation,
    })
}

/// Pixels as they are in the file, as RGB.
fn to_rgb(info: &Info, mut pixels: Vec<u8>) -> Result<Vec<u8>> {
    let wide = info.bit_depth == BitDepth::Sixteen;
    if wide {
        for sample in pixels.as_chunks_mut::<2>().0 {
            *sample = u16::from_be_bytes(*sample).to_ne_bytes();
        }
    }
    let color = match (info.color_type, wide) {
        (PngColor::Indexed, _) => return Ok(indexed_to_rgb(info, &pixels)),
        (PngColor::Grayscale, _) => return Ok(grey_to_rgb(info, pixels)),
        (PngColor::GrayscaleAlpha, false) => ColorType::La8,
        (PngColor::GrayscaleAlpha, true) => ColorType::La16,
        (PngColor::Rgb, false) => ColorType::Rgb8,
        (PngColor::Rgb, true) => ColorType::Rgb16,
        (PngColor::Rgba, false) => ColorType::Rgba8,
        (PngColor::Rgba, true) => ColorType::Rgba16,
    };
    flatten::to_rgb(color, pixels)
}

fn indexed_to_rgb(info: &Info, pixels: &[u8]) -> Vec<u8> {
    let palette = info.palette.as_deref().unwrap_or_default();
    let alpha = info.trns.as_deref().unwrap_or_default();
    let colours = colours(palette, |index| alpha.get(index).copied().unwrap_or(255));
    flatten::indices_to_rgb(&unpack(info, pixels), &colours)
}

fn grey_to_rgb(info: &Info, pixels: Vec<u8>) -> Vec<u8> {
    // The low byte of the transparent value.
    let transparent = info.trns.as_deref().and_then(|trns| trns.last().copied());
    let grey: Vec<u8> = match info.bit_depth {
        BitDepth::Sixteen => pixels
            .as_chunks()
            .0
            .iter()
            .map(|&v| flatten::clip(v))
            .collect(),
        BitDepth::Eight => pixels,
        depth => {
            let white = 255 >> (8 - depth as u8);
            let mut grey = unpack(info, &pixels);
            grey.iter_mut().for_each(|v| *v *= 255 / white);
            grey
        }
    };
    let transparent = match info.bit_depth {
        BitDepth::One => transparent.map(|value| if value == 0 { 0 } else { 255 }),
        _ => transparent,
    };
    flatten::grey_to_rgb(&grey, transparent)
}

/// One byte a sample from rows of samples of 1 to 8 bits, each row padded to whole bytes.
fn unpack(info: &Info, rows: &[u8]) -> Vec<u8> {
    let (width, bits) = (info.width as usize, info.bit_depth as usize);
    let mask = 255u8 >> (8 - bits);
    rows.chunks_exact((width * bits).div_ceil(8))
        .flat_map(|row| {
            (0..width).map(move |x| (row[x * bits / 8] >> (8 - bits - x * bits % 8)) & mask)
        })
        .collect()
}

fn failed(error: DecodingError) -> Error {
    match error {
        DecodingError::LimitsExceeded => {
            too_large("decoding the PNG picture takes too much memory: scale it down".into())
        }
        other => damaged("PNG", other),
    }
}
