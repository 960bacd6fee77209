//! JPEG, as libjpeg decodes it for Pillow.
//!
//! `image`'s own decoder is not used: its chroma upsampling mixes in padding at the right border
//! when the width is not a multiple of a block, by tens of levels, where `jpeg-decoder` stays
//! within a few of libjpeg. The file's segments are walked here too, for what that crate does
//! otherwise than libjpeg: a file without its end is refused, and the colour space is chosen by
//! libjpeg's rules.

use super::{Decoded, Rgb8Image, damaged, orientation};
use crate::{
    Error, ErrorKind, Result,
    preprocess::{flatten, limits::DecodeLimits},
};
use image::ColorType;
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};

const END_OF_IMAGE: u8 = 0xd9;
/// TEM, and RST0 to SOI: markers that no length follows.
const STANDALONE: [std::ops::RangeInclusive<u8>; 2] = [0x01..=0x01, 0xd0..=0xd8];
const JFIF_SEGMENT: u8 = 0xe0;
const ADOBE_SEGMENT: u8 = 0xee;
/// The markers from SOF0 to SOF15 are frame headers, but for these (DHT, JPG, DAC).
const NO_FRAMES: [u8; 3] = [0xc4, 0xc8, 0xcc];

pub(super) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded> {
    let Some(outline) = Outline::read(bytes) else {
        return Err(unusable("is truncated: it has no end-of-image marker"));
    };
    let mut decoder = Decoder::new(bytes);
    decoder.set_max_decoding_buffer_size(limits.memory_bytes());
    if let Some(transform) = outline.color_transform() {
        decoder.set_color_transform(transform);
    }
    decoder.read_info().map_err(failed)?;
    let Some(info) = decoder.info() else {
        return Err(unusable("has no frame header"));
    };
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    limits.check_size(width, height)?;
    let n_bytes = u64::from(width) * u64::from(height) * info.pixel_format.pixel_bytes() as u64;
    limits.check_memory(n_bytes)?;
    let pixels = decoder.decode().map_err(failed)?;
    let data = match info.pixel_format {
        PixelFormat::L8 => flatten::to_rgb(ColorType::L8, pixels)?,
        PixelFormat::RGB24 => pixels,
        PixelFormat::CMYK32 => flatten::cmyk_to_rgb(&pixels),
        PixelFormat::L16 => return Err(unusable("has samples of more than 8 bits")),
    };
    let orientation = orientation(decoder.exif_data());
    Ok(Decoded {
        image: Rgb8Image {
            width,
            height,
            data,
        },
        orientation,
    })
}

/// What the segments say about the colours.
#[derive(Debug, Default, PartialEq)]
struct Outline {
    has_jfif: bool,
    /// The transform of Adobe's segment.
    adobe: Option<u8>,
    component_ids: Vec<u8>,
}

impl Outline {
    /// Walks the segments up to the end of the image; absent if there is none. A thumbnail's end,
    /// inside a segment, does not count.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut outline = Self::default();
        let mut at = 0;
        loop {
            // Scan data and stray bytes are passed over; in them FF is followed by 0 or a restart.
            at += bytes.get(at..)?.iter().position(|&byte| byte == 0xff)?;
            let marker = *bytes.get(at + 1)?;
            match marker {
                END_OF_IMAGE => return Some(outline),
                0xff => at += 1,
                0x00 => at += 2,
                _ if STANDALONE.iter().any(|range| range.contains(&marker)) => at += 2,
                _ => {
                    let length = bytes.get(at + 2..at + 4)?;
                    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                    let end = at + 2 + length;
                    outline.note(marker, bytes.get(at + 4..end).unwrap_or_default());
                    at = end;
                }
            }
        }
    }

    fn note(&mut self, marker: u8, content: &[u8]) {
        match marker {
            JFIF_SEGMENT if content.starts_with(b"JFIF\0") => self.has_jfif = true,
            ADOBE_SEGMENT if content.starts_with(b"Adobe") => self.adobe = content.get(11).copied(),
            0xc0..=0xcf if !NO_FRAMES.contains(&marker) && content.len() > 5 => {
                let components = content[6..].chunks_exact(3).map(|component| component[0]);
                self.component_ids = components.collect();
            }
            _ => {}
        }
    }

    /// The colour space of the file by libjpeg's rules (`default_decompress_parms`); for pictures
    /// of one component there is nothing to choose.
    fn color_transform(&self) -> Option<ColorTransform> {
        match (&self.component_ids[..], self.adobe) {
            ([_, _, _], _) if self.has_jfif => Some(ColorTransform::YCbCr),
            ([_, _, _], Some(0)) => Some(ColorTransform::RGB),
            (b"RGB", None) => Some(ColorTransform::RGB),
            ([_, _, _], _) => Some(ColorTransform::YCbCr),
            ([_, _, _, _], None | Some(0)) => Some(ColorTransform::CMYK),
            ([_, _, _, _], _) => Some(ColorTransform::YCCK),
            _ => None,
        }
    }
}

fn failed(error: jpeg_decoder::Error) -> Error {
    match error {
        jpeg_decoder::Error::Unsupported(_) => unusable(&format!("cannot be decoded ({error})")),
        other => damaged("JPEG", other),
    }
}

fn unusable(why: &str) -> Error {
    Error::new(ErrorKind::InvalidImage, format!("the JPEG picture {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_OF_FRAME: u8 = 0xc0;
    const START_OF_SCAN: u8 = 0xda;

    /// A segment with a length.
    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u16 + 2).to_be_bytes();
        [&[0xff, marker], &length[..], content].concat()
    }

    fn frame(component_ids: &[u8]) -> Vec<u8> {
        let mut content = vec![8, 0, 1, 0, 1, component_ids.len() as u8];
        content.extend(component_ids.iter().flat_map(|&id| [id, 0x11, 0]));
        segment(START_OF_FRAME, &content)
    }

    fn transform(segments: &[Vec<u8>]) -> Option<ColorTransform> {
        let file = [&[0xff, 0xd8], &segments.concat()[..], &[0xff, END_OF_IMAGE]].concat();
        Outline::read(&file).unwrap().color_transform()
    }

    #[test]
    fn the_end_is_found_behind_segments_and_scan_data() {
        let mut file = vec![0xff, 0xd8];
        file.extend(segment(0xe1, &[0xff, END_OF_IMAGE]));
        file.extend(segment(START_OF_SCAN, &[1, 2, 3]));
        file.extend([9, 0xff, 0x00, 7, 0xff, 0xd3, 8, 0xff]);
        assert_eq!(Outline::read(&file), None);
        file.extend([0xff, END_OF_IMAGE, 0]);
        assert_eq!(Outline::read(&file), Some(Outline::default()));
    }

    #[test]
    fn a_segment_that_reaches_beyond_the_file_is_a_truncation() {
        let mut file = vec![0xff, 0xd8];
        file.extend(segment(0xe1, &[0; 40]));
        file.truncate(30);
        assert_eq!(Outline::read(&file), None);
    }

    #[test]
    fn the_colour_space_is_chosen_as_libjpeg_chooses_it() {
        let jfif = || segment(JFIF_SEGMENT, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
        let adobe = |transform| {
            segment(
                ADOBE_SEGMENT,
                &[&b"Adobe\0\x64\0\0\0\0"[..], &[transform]].concat(),
            )
        };
        let (ycc, rgb, cmyk) = (frame(&[1, 2, 3]), frame(b"RGB"), frame(&[1, 2, 3, 4]));
        for (segments, expected) in [
            (vec![frame(&[1])], None),
            (vec![ycc.clone()], Some(ColorTransform::YCbCr)),
            (vec![frame(&[7, 8, 9])], Some(ColorTransform::YCbCr)),
            (vec![rgb.clone()], Some(ColorTransform::RGB)),
            (vec![jfif(), rgb.clone()], Some(ColorTransform::YCbCr)),
            (vec![adobe(0), ycc.clone()], Some(ColorTransform::RGB)),
            (vec![adobe(1), rgb], Some(ColorTransform::YCbCr)),
            (vec![jfif(), adobe(0), ycc], Some(ColorTransform::YCbCr)),
            (vec![cmyk.clone()], Some(ColorTransform::CMYK)),
            (vec![adobe(0), cmyk.clone()], Some(ColorTransform::CMYK)),
            (vec![adobe(2), cmyk], Some(ColorTransform::YCCK)),
        ] {
            assert_eq!(transform(&segments), expected, "{segments:x?}");
        }
    }
}
