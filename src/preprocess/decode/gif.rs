//! The first frame of a GIF file on its screen, as Pillow shows it.
//!
//! Around a frame smaller than the screen there is the transparent index, or index 0 if there is
//! none; a frame that reaches beyond the screen makes the picture larger.

use super::{Decoded, Rgb8Image, damaged};
use crate::{
    Error, ErrorKind, Result,
    preprocess::{
        flatten,
        limits::{DecodeLimits, too_large},
        palette::colours,
    },
};
use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};
use image::metadata::Orientation;
use std::{io::Cursor, num::NonZeroU64};

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    if let Some(n_bytes) = NonZeroU64::new(limits.max_memory_bytes) {
        options.set_memory_limit(MemoryLimit::Bytes(n_bytes));
    }
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(failed)?;
    let screen = (decoder.width(), decoder.height());
    let Some(frame) = decoder.next_frame_info().map_err(failed)? else {
        return Err(Error::new(
            ErrorKind::InvalidImage,
            "the GIF file has no picture",
        ));
    };
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
    let transparent = frame.transparent;

    let width = usize::from(screen.0).max(left + frame_width);
    let height = usize::from(screen.1).max(top + frame_height);
    limits.check_size(width as u32, height as u32)?;
    let n_bytes = limits.check_memory((width * height) as u64)?;

    let mut indices = vec![0; frame_width * frame_height];
    decoder.read_into_buffer(&mut indices).map_err(failed)?;
    if (width, height) != (frame_width, frame_height) {
        let mut canvas = vec![transparent.unwrap_or(0); n_bytes];
        let rows = canvas.chunks_exact_mut(width).skip(top);
        for (row, line) in rows.zip(indices.chunks_exact(frame_width.max(1))) {
            row[left..left + frame_width].copy_from_slice(line);
        }
        indices = canvas;
    }
    let colours = colours(decoder.palette().map_err(failed)?, |index| {
        match transparent.map(usize::from) == Some(index) {
            true => 0,
            false => 255,
        }
    });
    Ok(Decoded {
        image: Rgb8Image {
            width: width as u32,
            height: height as u32,
            data: flatten::indices_to_rgb(&indices, &colours),
        },
        orientation: Orientation::NoTransforms,
    })
}

fn failed(error: DecodingError) -> Error {
    match error {
        DecodingError::OutOfMemory | DecodingError::MemoryLimit => {
            too_large("decoding the GIF picture takes too much memory: scale it down".into())
        }
        other => damaged("GIF", other),
    }
}
