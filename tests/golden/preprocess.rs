//! Pictures: sizes, grids, decoded pixels and what the model is given, as mistral_common has them.

use crate::support::{cases, ids, json, read, root, section, text};
use pixtral::{
    config::{Config, VisionConfig},
    preprocess::{Patches, PreparedImage, Preprocessor, Rgb8Image},
};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Largest difference of a normalised pixel, given the same RGB.
const PIXEL_TOLERANCE: f32 = 1e-5;
/// The same if the picture's format lets decoders differ.
const LOSSY_PIXEL_TOLERANCE: f32 = 0.06;
/// Largest difference of a decoded sample of such a picture.
const LOSSY_LEVELS: u8 = 3;

/// One picture of the set and what the reference made of it.
struct Case {
    name: String,
    about: Value,
    picture: Vec<u8>,
    tensors: Vec<u8>,
    vision: VisionConfig,
}

fn all() -> Vec<Case> {
    let Some(folder) = section("preprocess") else {
        return Vec::new();
    };
    let file = json(folder.join("cases.json"));
    let vision = VisionConfig {
        image_size: number(&file["max_image_size"]),
        patch_size: number(&file["patch"]),
        ..Config::pixtral_12b().vision
    };
    cases(&file)
        .iter()
        .map(|about| {
            let name = text(&about["name"]).to_owned();
            Case {
                picture: read(root().join("images").join(text(&about["file"]))),
                tensors: read(folder.join(format!("{name}.safetensors"))),
                about: about.clone(),
                vision: vision.clone(),
                name,
            }
        })
        .collect()
}

fn number(value: &Value) -> u32 {
    let number = value.as_u64().expect("a number");
    number.try_into().expect("a number of 32 bits")
}

impl Case {
    fn preprocessor(&self) -> Preprocessor {
        Preprocessor::new(&self.vision, Default::default())
    }

    fn rgb(&self) -> Rgb8Image {
        self.preprocessor()
            .decode(&self.name, &self.picture)
            .unwrap()
    }

    fn prepared(&self) -> PreparedImage {
        self.preprocessor()
            .prepare(&self.name, &self.picture)
            .unwrap()
    }

    fn number(&self, field: &str) -> u32 {
        number(&self.about[field])
    }

    fn float(&self, field: &str) -> f32 {
        self.about[field].as_f64().expect("a number") as f32
    }

    /// Whether decoders may differ: JPEG, and WebP with a `VP8 ` chunk.
    fn is_lossy(&self) -> bool {
        self.picture.starts_with(&[0xff, 0xd8])
            || self.picture.starts_with(b"RIFF") && self.picture.windows(4).any(|w| w == b"VP8 ")
    }

    fn tolerance(&self) -> f32 {
        match self.is_lossy() {
            true => LOSSY_PIXEL_TOLERANCE,
            false => PIXEL_TOLERANCE,
        }
    }

    /// The tensor `name` as (shape, bytes), if the case has it.
    fn tensor(&self, name: &str, dtype: Dtype) -> Option<(Vec<usize>, Vec<u8>)> {
        let file = SafeTensors::deserialize(&self.tensors).unwrap();
        let tensor = file.tensor(name).ok()?;
        assert_eq!(tensor.dtype(), dtype, "{}: {name}", self.name);
        Some((tensor.shape().to_vec(), tensor.data().to_vec()))
    }

    fn floats(&self, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
        let (shape, bytes) = self.tensor(name, Dtype::F32)?;
        let (values, _) = bytes.as_chunks();
        Some((
            shape,
            values.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        ))
    }

    fn indices(&self, name: &str) -> Vec<usize> {
        let (_, bytes) = self.tensor(name, Dtype::I32).expect(name);
        let (values, _) = bytes.as_chunks();
        values
            .iter()
            .map(|&b| i32::from_le_bytes(b) as usize)
            .collect()
    }

    /// The reference's decoded samples as (index into [height, width, 3], value).
    fn expected_rgb(&self) -> Vec<(usize, u8)> {
        match self.tensor("rgb", Dtype::U8) {
            Some((_, values)) => values.into_iter().enumerate().collect(),
            None => {
                let (_, values) = self.tensor("rgb_sample_value", Dtype::U8).expect("RGB");
                let indices = self.indices("rgb_sample_index");
                assert_eq!(indices.len(), values.len(), "{}", self.name);
                indices.into_iter().zip(values).collect()
            }
        }
    }

    /// The reference's pixels as (index into [3, height, width], value).
    fn expected_pixels(&self) -> Vec<(usize, f32)> {
        match self.floats("pixels") {
            Some((_, values)) => values.into_iter().enumerate().collect(),
            None => {
                let (_, values) = self.floats("sample_value").expect("pixels");
                let indices = self.indices("sample_index");
                assert_eq!(indices.len(), values.len(), "{}", self.name);
                indices.into_iter().zip(values).collect()
            }
        }
    }

    /// Compares everything that the set says of the picture's pixels.
    fn compare(&self, image: &PreparedImage, tolerance: f32) {
        let name = &self.name;
        let size = (self.number("out_w"), self.number("out_h"));
        assert_eq!((image.width, image.height), size, "{name}");
        assert_eq!(
            image.pixels.len(),
            3 * size.0 as usize * size.1 as usize,
            "{name}"
        );
        let mut worst = 0f32;
        for (index, value) in self.expected_pixels() {
            worst = worst.max((image.pixels[index] - value).abs());
        }
        println!("{name}: pixels differ by at most {worst:.1e} of {tolerance:.1e}");
        assert!(worst <= tolerance, "{name}: pixels differ by {worst}");

        let (low, high) = (self.float("min"), self.float("max"));
        let (min, max) = image
            .pixels
            .iter()
            .fold((f32::MAX, f32::MIN), |(low, high), &v| {
                (low.min(v), high.max(v))
            });
        assert!(
            (min - low).abs() <= tolerance,
            "{name}: least pixel {min}, expected {low}"
        );
        assert!(
            (max - high).abs() <= tolerance,
            "{name}: largest pixel {max}, expected {high}"
        );

        // A pixel of at most `peak` that moves by `tolerance` moves its square by this much.
        let peak = low.abs().max(high.abs()) + tolerance;
        self.compare_patches(image, "patch_mean", |v| v, tolerance);
        self.compare_patches(
            image,
            "patch_mean_square",
            |v| v * v,
            2.0 * peak * tolerance,
        );
    }

    /// Compares the mean of `of` each pixel, over every patch of every channel.
    fn compare_patches(
        &self,
        image: &PreparedImage,
        tensor: &str,
        of: impl Fn(f64) -> f64,
        tolerance: f32,
    ) {
        let (shape, expected) = self.floats(tensor).expect(tensor);
        let Patches { rows, cols } = image.grid;
        assert_eq!(
            shape,
            [3, rows as usize, cols as usize],
            "{}: {tensor}",
            self.name
        );
        let patch_length = self.vision.patch_length() as usize;
        let values = image.patch_rows(self.vision.patch_size);
        assert_eq!(
            values.len(),
            expected.len() * patch_length / 3,
            "{}",
            self.name
        );
        for (patch, row) in values.chunks_exact(patch_length).enumerate() {
            for (channel, part) in row.chunks_exact(patch_length / 3).enumerate() {
                let sum: f64 = part.iter().map(|&v| of(f64::from(v))).sum();
                let mean = (sum / part.len() as f64) as f32;
                let expected = expected[channel * image.grid.n_patches() + patch];
                assert!(
                    (mean - expected).abs() <= tolerance,
                    "{}: {tensor} of patch {patch}, channel {channel}: {mean}, expected {expected}",
                    self.name
                );
            }
        }
    }
}

#[test]
fn the_grid_follows_from_the_size() {
    for case in all() {
        let (width, height) = (case.number("width"), case.number("height"));
        let grid = case.preprocessor().grid(width, height);
        let expected = Patches {
            rows: case.number("grid_h"),
            cols: case.number("grid_w"),
        };
        assert_eq!(grid, expected, "{}", case.name);
        assert_eq!(case.prepared().grid, expected, "{}", case.name);
    }
}

#[test]
fn the_grid_says_how_many_ids_a_picture_takes_and_where_its_rows_end() {
    for case in all() {
        let grid = case.prepared().grid;
        let expected = ids(&case.about["ids"]);
        assert_eq!(
            expected.len(),
            case.number("n_ids") as usize,
            "{}",
            case.name
        );
        assert_eq!(grid.n_tokens(), expected.len(), "{}", case.name);
        let (patch, end) = (expected[0], expected[expected.len() - 1]);
        let row_end = expected[grid.cols as usize];
        let mut laid_out = [vec![patch; grid.cols as usize], vec![row_end]]
            .concat()
            .repeat(grid.rows as usize);
        laid_out[expected.len() - 1] = end;
        assert_eq!(laid_out, expected, "{}", case.name);
        assert!(patch != end && patch != row_end, "{}", case.name);
        assert_eq!(row_end == end, grid.rows == 1, "{}", case.name);
    }
}

#[test]
fn pictures_are_decoded_to_the_reference_rgb() {
    for case in all() {
        let name = &case.name;
        let rgb = case.rgb();
        assert_eq!(rgb.width, case.number("width"), "{name}");
        assert_eq!(rgb.height, case.number("height"), "{name}");
        let n_samples = 3 * rgb.width as usize * rgb.height as usize;
        assert_eq!(rgb.data.len(), n_samples, "{name}");
        let worst = case
            .expected_rgb()
            .into_iter()
            .map(|(index, value)| rgb.data[index].abs_diff(value))
            .max();
        println!("{name}: RGB differs by at most {worst:?}");
        if case.is_lossy() {
            assert!(
                worst <= Some(LOSSY_LEVELS),
                "{name}: RGB differs by {worst:?}"
            );
        } else {
            assert_eq!(worst, Some(0), "{name}");
            let hash: String = Sha256::digest(&rgb.data)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(hash, text(&case.about["rgb_sha256"]), "{name}");
        }
    }
}

#[test]
fn pictures_are_prepared_to_the_reference_pixels() {
    for case in all() {
        case.compare(&case.prepared(), case.tolerance());
    }
}

/// What no decoder can blur: the resize and the normalisation of the reference's own RGB.
#[test]
fn the_reference_rgb_is_prepared_exactly() {
    let mut n_lossy = 0;
    let cases = all();
    for case in &cases {
        let Some((shape, rgb)) = case.tensor("rgb", Dtype::U8) else {
            continue;
        };
        let [height, width, 3] = shape[..] else {
            panic!("{}: rgb has the shape {shape:?}", case.name);
        };
        let image = case
            .preprocessor()
            .prepare_rgb(width as u32, height as u32, &rgb)
            .unwrap();
        case.compare(&image, PIXEL_TOLERANCE);
        n_lossy += usize::from(case.is_lossy());
    }
    println!(
        "{n_lossy} of {} pictures are lossy with all of their RGB",
        cases.len()
    );
}
