//! From the pixel formats that decoders return to 8-bit RGB, exactly as the reference's
//! `_convert_to_rgb` does with Pillow: whatever is transparent is put over white.

use super::palette::Colours;
use crate::{Error, ErrorKind, Result};
use image::ColorType;

/// `pixels` in the format `color` (16-bit samples in native byte order) as RGB.
///
/// 16-bit grey is clipped at 255 (Pillow's `I;16`); of other 16-bit samples the high byte is
/// kept. Errors on floating-point samples, which have no agreed range.
pub(super) fn to_rgb(color: ColorType, pixels: Vec<u8>) -> Result<Vec<u8>> {
    Ok(match color {
        ColorType::Rgb8 => pixels,
        ColorType::L8 => map(&pixels, |&[v]| [v; 3]),
        ColorType::La8 => map(&pixels, |&[v, a]| over_white([v; 3], a)),
        ColorType::Rgba8 => map(&pixels, |&[r, g, b, a]| over_white([r, g, b], a)),
        ColorType::L16 => map(&pixels, |&sample| [clip(sample); 3]),
        ColorType::La16 => map(&pixels, |p: &[u8; 4]| {
            let [v, a] = high_bytes(p);
            over_white([v; 3], a)
        }),
        ColorType::Rgb16 => map(&pixels, |p: &[u8; 6]| high_bytes(p)),
        ColorType::Rgba16 => map(&pixels, |p: &[u8; 8]| {
            let [r, g, b, a] = high_bytes(p);
            over_white([r, g, b], a)
        }),
        other => {
            return Err(Error::new(
                ErrorKind::InvalidImage,
                format!("pixels of type {other:?} are not supported, expected 8 or 16 bits"),
            ));
        }
    })
}

/// Grey of 8 bits as RGB, in which the value `transparent` becomes white.
pub(super) fn grey_to_rgb(grey: &[u8], transparent: Option<u8>) -> Vec<u8> {
    map(grey, |&[v]| match transparent == Some(v) {
        true => [255; 3],
        false => [v; 3],
    })
}

/// One colour a palette index.
pub(super) fn indices_to_rgb(indices: &[u8], colours: &Colours) -> Vec<u8> {
    map(indices, |&[index]| colours[usize::from(index)])
}

/// CMYK of 8 bits, 255 being full ink, as RGB.
pub(super) fn cmyk_to_rgb(pixels: &[u8]) -> Vec<u8> {
    map(pixels, |&[c, m, y, k]| {
        let light = 255 - u32::from(k);
        [c, m, y].map(|ink| divide_by_255((255 - u32::from(ink)) * light))
    })
}

/// A colour with alpha over white.
pub(super) fn over_white(colour: [u8; 3], alpha: u8) -> [u8; 3] {
    let alpha = u32::from(alpha);
    colour.map(|value| divide_by_255(u32::from(value) * alpha + 255 * (255 - alpha)))
}

/// A product of two 8-bit values over 255, rounded to nearest (Pillow's `MULDIV255`).
fn divide_by_255(product: u32) -> u8 {
    let t = product + 128;
    (((t >> 8) + t) >> 8) as u8
}

/// A 16-bit grey sample, white from 255 on.
pub(super) fn clip(sample: [u8; 2]) -> u8 {
    u16::from_ne_bytes(sample).min(255) as u8
}

fn high_bytes<const BYTES: usize, const SAMPLES: usize>(pixel: &[u8; BYTES]) -> [u8; SAMPLES] {
    let (samples, _) = pixel.as_chunks::<2>();
    std::array::from_fn(|i| (u16::from_ne_bytes(samples[i]) >> 8) as u8)
}

/// RGB of every pixel of `N` bytes.
fn map<const N: usize>(pixels: &[u8], rgb: impl Fn(&[u8; N]) -> [u8; 3]) -> Vec<u8> {
    let (pixels, _) = pixels.as_chunks::<N>();
    let mut out = vec![0; 3 * pixels.len()];
    for (out, pixel) in out.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
        *out = rgb(pixel);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_ne_bytes()).collect()
    }

    #[test]
    fn transparency_goes_over_white_with_exact_rounding() {
        for value in 0..=255u8 {
            for alpha in 0..=255u8 {
                let (v, a) = (f64::from(value), f64::from(alpha));
                let exact = ((v * a + 255.0 * (255.0 - a)) / 255.0).round() as u8;
                assert_eq!(over_white([value; 3], alpha), [exact; 3], "{value} {alpha}");
            }
        }
    }

    #[test]
    fn ink_and_black_take_light_away() {
        let inks = [0, 0, 0, 0, 255, 0, 100, 0, 0, 0, 0, 255, 100, 200, 0, 55];
        let rgb = [255, 255, 255, 0, 255, 155, 0, 0, 0, 122, 43, 200];
        assert_eq!(cmyk_to_rgb(&inks), rgb);
    }

    #[test]
    fn grey_is_repeated() {
        assert_eq!(
            to_rgb(ColorType::L8, vec![7, 9]).unwrap(),
            [7, 7, 7, 9, 9, 9]
        );
        assert_eq!(
            to_rgb(ColorType::La8, vec![7, 255, 7, 0]).unwrap(),
            [7, 7, 7, 255, 255, 255]
        );
    }

    #[test]
    fn sixteen_bit_grey_clips_and_colours_keep_the_high_byte() {
        let grey = to_rgb(ColorType::L16, samples(&[0, 200, 255, 256, 65535])).unwrap();
        assert_eq!(
            grey,
            [
                0, 0, 0, 200, 200, 200, 255, 255, 255, 255, 255, 255, 255, 255, 255
            ]
        );
        let rgb = to_rgb(ColorType::Rgb16, samples(&[0x12ff, 0x00ff, 0xff00])).unwrap();
        assert_eq!(rgb, [0x12, 0, 0xff]);
        let rgba = to_rgb(ColorType::Rgba16, samples(&[0x12ff, 0, 0xff00, 0xffff])).unwrap();
        assert_eq!(rgba, [0x12, 0, 0xff]);
        let grey_alpha = to_rgb(ColorType::La16, samples(&[0x1234, 0x00ff])).unwrap();
        assert_eq!(grey_alpha, [255; 3]);
    }

    #[test]
    fn floating_point_pixels_are_refused() {
        let error = to_rgb(ColorType::Rgb32F, vec![0; 12]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidImage);
        assert!(error.message().contains("Rgb32F"), "{error}");
    }
}
