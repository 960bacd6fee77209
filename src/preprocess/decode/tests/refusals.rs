//! What is refused, and in which words.

use super::*;

/// Every format that is read.
const ALL_FORMATS: [ImageFormat; 6] = [
    ImageFormat::Png,
    ImageFormat::Jpeg,
    ImageFormat::WebP,
    ImageFormat::Gif,
    ImageFormat::Bmp,
    ImageFormat::Tiff,
];

#[test]
fn text_and_unknown_formats_are_refused_with_the_supported_ones() {
    for bytes in [
        b"hello, I am no picture".as_slice(),
        b"P6 1 1 255 abc",
        b"\0\0\0\0ftypavif....",
    ] {
        let message = refusal(bytes, ErrorKind::InvalidImage);
        assert!(
            message.contains("PNG, JPEG, WebP, GIF, BMP or TIFF"),
            "{message}"
        );
    }
    assert!(refusal(b"qoif1234", ErrorKind::InvalidImage).contains("QOI is not supported"));
    assert!(refusal(b"", ErrorKind::InvalidImage).contains("empty"));
}

#[test]
fn truncated_pictures_are_refused_in_every_format() {
    let noise: Vec<u8> = (0..64 * 64 * 3u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let image = DynamicImage::from(RgbImage::from_raw(64, 64, noise).unwrap());
    for format in ALL_FORMATS {
        let bytes = encoded(&image, format);
        decoded(&bytes);
        for part in [bytes.len() / 2, bytes.len() / 10, 14] {
            let message = refusal(&bytes[..part], ErrorKind::InvalidImage);
            assert!(
                message.contains(&name(format)),
                "{format:?} {part}: {message}"
            );
        }
    }
}

#[test]
fn any_damage_is_an_error_or_a_picture_but_never_a_panic() {
    let (image, _) = some_rgb();
    for format in ALL_FORMATS {
        let bytes = encoded(&image, format);
        for at in 0..bytes.len() {
            for value in [0, 0x7f, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                if let Ok(picture) = try_decode(&damaged) {
                    let n_pixels = picture.width as usize * picture.height as usize;
                    assert_eq!(picture.data.len(), 3 * n_pixels, "{format:?} {at}");
                }
            }
        }
    }
}

/// A PNG header of a picture of `width` × `height` pixels, without the picture.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 6, 0, 0, 0]);
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    let crc = crc.sum().to_be_bytes();
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d", &header[..], &crc].concat()
}

#[test]
fn a_huge_picture_is_refused_from_its_header() {
    let message = refusal(&png_header(60_000, 60_000), ErrorKind::ImageTooLarge);
    assert!(message.contains("60000x60000"), "{message}");
    let gif = gif(
        (60_000, 60_000),
        &[0; 6],
        Frame::from_indexed_pixels(1, 1, vec![0], None),
    );
    assert!(refusal(&gif, ErrorKind::ImageTooLarge).contains("60000x60000"));

    let (image, _) = some_rgb();
    let mut bmp = encoded(&image, ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    bmp[22..26].copy_from_slice(&60_000u32.to_le_bytes());
    assert!(refusal(&bmp, ErrorKind::ImageTooLarge).contains("60000x60000"));

    let mut jpeg = jpeg(&image);
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    assert!(refusal(&jpeg, ErrorKind::ImageTooLarge).contains("60000x60000"));
}

#[test]
fn a_picture_without_pixels_is_refused() {
    refusal(&png_header(0, 5), ErrorKind::InvalidImage);
    let frame = Frame {
        width: 0,
        height: 0,
        ..Frame::default()
    };
    refusal(&gif((0, 0), &[0; 6], frame), ErrorKind::InvalidImage);
}

#[test]
fn each_limit_is_kept() {
    let (image, _) = some_rgb();
    let bytes = encoded(&image, ImageFormat::Tiff);
    let default = DecodeLimits::default();
    for (limits, field) in [
        (
            DecodeLimits {
                max_file_bytes: 20,
                ..default
            },
            "max_file_bytes",
        ),
        (
            DecodeLimits {
                max_pixels: 14,
                ..default
            },
            "max_pixels",
        ),
        (
            DecodeLimits {
                max_memory_bytes: 44,
                ..default
            },
            "max_memory_bytes",
        ),
    ] {
        let error = decode(&bytes, false, &limits).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ImageTooLarge, "{error}");
        assert!(error.message().contains(field), "{error}");
    }
}
