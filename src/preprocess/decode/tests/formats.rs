//! What each format's pixels become.

use super::*;

#[test]
fn lossless_formats_keep_opaque_rgb() {
    let (image, data) = some_rgb();
    for format in [
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
    ] {
        let got = decoded(&encoded(&image, format));
        assert_eq!((got.width, got.height), (5, 3), "{format:?}");
        assert_eq!(got.data, data, "{format:?}");
    }
}

#[test]
fn transparency_goes_over_white_in_every_format_that_has_it() {
    let rgba = [[200, 100, 0, 255], [200, 100, 0, 128], [200, 100, 0, 0]];
    let image = image::RgbaImage::from_raw(3, 1, rgba.concat()).unwrap();
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff] {
        let got = decoded(&encoded(&image.clone().into(), format));
        assert_eq!(
            got.data,
            [200, 100, 0, 227, 177, 127, 255, 255, 255],
            "{format:?}"
        );
    }
}

#[test]
fn grey_pngs_of_few_bits_spread_to_the_whole_range() {
    let png = |depth, row| {
        Png {
            depth,
            row,
            ..Png::default()
        }
        .bytes()
    };
    assert_eq!(reds(&png(BitDepth::One, &[0x50])), [0, 255, 0, 255]);
    assert_eq!(reds(&png(BitDepth::Two, &[0x1b])), [0, 85, 170, 255]);
    assert_eq!(reds(&png(BitDepth::Four, &[0x01, 0xfe])), [0, 17, 255, 238]);
}

/// Values checked against Pillow 13.0.0.
#[test]
fn a_transparent_grey_is_compared_with_the_eight_bit_value() {
    let png = |depth, trns, row| {
        Png {
            depth,
            trns,
            row,
            ..Png::default()
        }
        .bytes()
    };
    let row = &[10, 11, 0, 255];
    assert_eq!(
        reds(&png(BitDepth::Eight, &[0, 10], row)),
        [255, 11, 0, 255]
    );
    assert_eq!(reds(&png(BitDepth::One, &[0, 0], &[0x50])), [255; 4]);
    assert_eq!(
        reds(&png(BitDepth::One, &[0, 1], &[0x50])),
        [0, 255, 0, 255]
    );
    assert_eq!(
        reds(&png(BitDepth::Two, &[0, 1], &[0x1b])),
        [0, 85, 170, 255]
    );
    assert_eq!(
        reds(&png(BitDepth::Two, &[0, 85], &[0x1b])),
        [0, 255, 170, 255]
    );
}

#[test]
fn sixteen_bit_grey_clips_at_255() {
    let row: Vec<u8> = [10u16, 300, 255, 256]
        .iter()
        .flat_map(|v| v.to_be_bytes())
        .collect();
    let png = |trns| {
        Png {
            depth: BitDepth::Sixteen,
            trns,
            row: &row,
            ..Png::default()
        }
        .bytes()
    };
    assert_eq!(reds(&png(&[])), [10, 255, 255, 255]);
    assert_eq!(reds(&png(&[0, 10])), [255; 4]);
}

#[test]
fn sixteen_bit_colours_keep_the_high_byte_and_ignore_a_transparent_colour() {
    let row = [0x12, 0xff, 0x00, 0xff, 0xff, 0x00];
    let png = Png {
        width: 1,
        color: PngColor::Rgb,
        depth: BitDepth::Sixteen,
        trns: &row,
        row: &row,
        ..Png::default()
    };
    assert_eq!(decoded(&png.bytes()).data, [0x12, 0, 0xff]);
    let png = Png {
        width: 1,
        color: PngColor::Rgb,
        trns: &[0, 1, 0, 2, 0, 3],
        row: &[1, 2, 3],
        ..Png::default()
    };
    assert_eq!(decoded(&png.bytes()).data, [1, 2, 3]);
}

/// Values checked against Pillow 13.0.0.
#[test]
fn palette_pngs_take_alpha_by_index() {
    let palette = &[10, 20, 30, 40, 50, 60, 70, 80, 90];
    let png = |depth, trns, row| {
        let color = PngColor::Indexed;
        Png {
            color,
            depth,
            palette,
            trns,
            row,
            ..Png::default()
        }
        .bytes()
    };
    let row = &[0, 1, 2, 5];
    assert_eq!(reds(&png(BitDepth::Eight, &[], row)), [10, 40, 70, 0]);
    assert_eq!(reds(&png(BitDepth::Eight, &[0], row)), [255, 40, 70, 0]);
    assert_eq!(
        reds(&png(BitDepth::Eight, &[100, 200], row)),
        [159, 86, 70, 0]
    );
    assert_eq!(
        reds(&png(BitDepth::Two, &[100, 200], &[0x1b])),
        [159, 86, 70, 0]
    );
}

/// Values checked against Pillow 13.0.0.
#[test]
fn a_gif_frame_is_placed_on_its_screen() {
    let palette = &[200, 1, 2, 100, 3, 4, 50, 5, 6, 0, 0, 0];
    let frame = |left, transparent| Frame {
        left,
        width: 2,
        height: 2,
        transparent,
        buffer: Cow::Borrowed(&[0, 1, 2, 2]),
        ..Frame::default()
    };
    assert_eq!(
        reds(&gif((2, 2), palette, frame(0, None))),
        [200, 100, 50, 50]
    );
    let small = [200, 100, 200, 50, 50, 200];
    assert_eq!(reds(&gif((3, 2), palette, frame(0, None))), small);
    let clear = [200, 100, 255, 255, 255, 255];
    assert_eq!(reds(&gif((3, 2), palette, frame(0, Some(2)))), clear);
    let right = [200, 200, 100, 200, 50, 50];
    assert_eq!(reds(&gif((3, 2), palette, frame(1, None))), right);
    let beyond = decoded(&gif((1, 1), palette, frame(0, None)));
    assert_eq!((beyond.width, beyond.height), (2, 2));
}

#[test]
fn only_the_first_frame_counts() {
    let mut out = Vec::new();
    let mut encoder = GifEncoder::new(&mut out, 1, 1, &[9, 9, 9, 200, 200, 200]).unwrap();
    for index in [0, 1] {
        let frame = Frame {
            width: 1,
            height: 1,
            buffer: vec![index].into(),
            ..Frame::default()
        };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    assert_eq!(decoded(&out).data, [9; 3]);
}

/// `file`, a JPEG, with an EXIF segment that says `orientation`.
fn with_orientation(file: &[u8], orientation: u8) -> Vec<u8> {
    let exif = [
        b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(),
        &[orientation, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    [&file[..2], &exif, &file[2..]].concat()
}

#[test]
fn exif_orientation_is_applied_only_on_demand() {
    let (image, _) = some_rgb();
    let plain = jpeg(&image);
    let turned = with_orientation(&plain, 6);
    assert_eq!(decoded(&turned), decoded(&plain));
    let got = decode(&turned, true, &DecodeLimits::default()).unwrap();
    let plain = decoded(&plain);
    let plain = RgbImage::from_raw(plain.width, plain.height, plain.data).unwrap();
    let expected = image::imageops::rotate90(&plain);
    assert_eq!((got.width, got.height), (3, 5));
    assert_eq!(got.data, expected.into_raw());
}

/// A TIFF file of one row of grey and an orientation.
fn tiff(grey: &[u8], orientation: u16) -> Vec<u8> {
    let width = grey.len() as u16;
    let tags: [(u16, u16); 8] = [
        (256, width),
        (257, 1),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (274, orientation),
        (279, width),
    ];
    let directory = 8 + u32::from(width);
    let mut file = b"II*\0".to_vec();
    file.extend(directory.to_le_bytes());
    file.extend(grey);
    file.extend((tags.len() as u16).to_le_bytes());
    for (tag, value) in tags {
        file.extend(tag.to_le_bytes());
        file.extend([3, 0, 1, 0, 0, 0]);
        file.extend(u32::from(value).to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

#[test]
fn the_orientation_of_a_tiff_file_is_always_applied() {
    assert_eq!(reds(&tiff(&[1, 2, 3], 1)), [1, 2, 3]);
    assert_eq!(reds(&tiff(&[1, 2, 3], 3)), [3, 2, 1]);
    let turned = decoded(&tiff(&[1, 2, 3], 6));
    assert_eq!((turned.width, turned.height), (1, 3));
}

#[test]
fn grey_jpegs_become_rgb() {
    let mut out = Vec::new();
    JpegEncoder::new_with_quality(&mut out, 100)
        .encode(&[77; 64], 8, 8, ExtendedColorType::L8)
        .unwrap();
    let got = decoded(&out);
    assert!(
        got.data.iter().all(|v| v.abs_diff(77) <= 1),
        "{:?}",
        got.data
    );
}
