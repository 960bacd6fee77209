use super::*;
use crate::config::Config;
use image::{ImageFormat, RgbImage};
use std::{fs, io::Cursor};

fn preprocessor(options: PreprocessOptions) -> Preprocessor {
    Preprocessor::new(&Config::pixtral_12b().vision, options)
}

fn reference() -> Preprocessor {
    preprocessor(PreprocessOptions::default())
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 7]));
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, ImageFormat::Png).unwrap();
    out.into_inner()
}

#[test]
fn one_pixel_is_one_patch_of_one_colour() {
    let image = reference().prepare("dot.png", &png(1, 1)).unwrap();
    assert_eq!(image.grid, Patches { rows: 1, cols: 1 });
    assert_eq!((image.width, image.height), (16, 16));
    for plane in image.pixels.chunks(256) {
        assert!(plane.iter().all(|v| (v - plane[0]).abs() < 1e-6));
    }
}

#[test]
fn every_road_gives_the_same_pixels() {
    let bytes = png(50, 40);
    let image = reference().prepare("a.png", &bytes).unwrap();
    assert_eq!(image.pixels.len(), 3 * 64 * 48);

    let rgb = reference().decode("a.png", &bytes).unwrap();
    let from_rgb = reference()
        .prepare_rgb(rgb.width, rgb.height, &rgb.data)
        .unwrap();
    assert_eq!(from_rgb.pixels, image.pixels);

    let folder = tempfile::tempdir().unwrap();
    // A name that lies about the format, which is found from the content.
    let path = folder.path().join("a.jpg");
    fs::write(&path, &bytes).unwrap();
    assert_eq!(
        reference().prepare_file(&path).unwrap().pixels,
        image.pixels
    );
}

#[test]
fn a_token_budget_scales_the_picture_down() {
    let bytes = png(400, 300);
    let options = PreprocessOptions {
        max_image_tokens: Some(100),
        ..PreprocessOptions::default()
    };
    let image = preprocessor(options).prepare("a.png", &bytes).unwrap();
    assert_eq!(image.grid, Patches { rows: 8, cols: 11 });
    assert_eq!((image.width, image.height), (11 * 16, 8 * 16));
    assert!(image.grid.n_tokens() <= 100);
}

#[test]
fn errors_name_the_picture() {
    let error = reference()
        .prepare("letter.png", b"Dear Sir or Madam")
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidImage);
    assert!(error.message().starts_with("letter.png: "), "{error}");
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| reference().prepare_file(path).unwrap_err();
    assert_eq!(
        error(&folder.path().join("no.png")).kind(),
        ErrorKind::NotFound
    );

    let of_folder = error(folder.path());
    assert_eq!(of_folder.kind(), ErrorKind::InvalidArgument);
    assert!(
        of_folder
            .message()
            .contains("is a folder, expected a picture")
    );

    let empty = folder.path().join("empty.png");
    fs::write(&empty, b"").unwrap();
    assert_eq!(error(&empty).kind(), ErrorKind::InvalidImage);
    assert!(
        error(&empty)
            .message()
            .ends_with("empty.png: is empty, expected a picture")
    );
}

#[test]
fn no_more_of_a_file_is_read_than_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.png");
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let mut options = PreprocessOptions::default();
    options.limits.max_file_bytes = 1000;
    assert_eq!(options.limits.read_file(&path).unwrap().len(), 1001);
    let error = preprocessor(options).prepare_file(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ImageTooLarge);
}

#[test]
fn rgb_of_another_length_than_its_size_is_refused() {
    for n_bytes in [0, 11, 13, 9, 15] {
        let error = reference()
            .prepare_rgb(2, 2, &vec![0; n_bytes])
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("12 bytes of RGB"), "{error}");
    }
    let error = reference().prepare_rgb(0, 2, &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidImage);
    let error = reference().prepare_rgb(60_000, 60_000, &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ImageTooLarge);
}

#[test]
fn patches_too_large_for_memory_are_refused() {
    let mut vision = Config::pixtral_12b().vision;
    vision.image_size = 1 << 24;
    vision.patch_size = 1 << 24;
    let preprocessor = Preprocessor::new(&vision, PreprocessOptions::default());
    let error = preprocessor.prepare_rgb(1, 1, &[0; 3]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ImageTooLarge);
}
