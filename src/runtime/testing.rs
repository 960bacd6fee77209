//! A small model for this layer's own tests.

use super::{Decoder, Model, Outputs, Run};
use crate::{
    checkpoint::Checkpoint,
    config::VisionConfig,
    preprocess::{Patches, PreparedImage},
    quantize::{Event, QuantizeOptions, quantize},
};
use std::{ops::ControlFlow, path::Path, sync::Arc};

/// The golden checkpoint as a q8_0 file.
pub(super) fn model() -> Arc<Model> {
    let folder = tempfile::tempdir().unwrap();
    Model::open(file_in(folder.path())).unwrap()
}

/// The same as a file in `folder`.
pub(super) fn file_in(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("golden.gguf");
    let golden = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/golden/checkpoint/mistral"
    );
    let checkpoint = Checkpoint::open(Path::new(golden)).unwrap();
    let mut silent = |_: &Event| ControlFlow::Continue(());
    quantize(
        &checkpoint,
        &path,
        &"q8_0".parse().unwrap(),
        &QuantizeOptions::default(),
        &mut silent,
    )
    .unwrap();
    path
}

/// A grey picture of `rows` by `cols` patches.
pub(super) fn picture(vision: &VisionConfig, rows: u32, cols: u32) -> PreparedImage {
    let (width, height) = (cols * vision.patch_size, rows * vision.patch_size);
    PreparedImage {
        pixels: vec![0.5; 3 * (width * height) as usize],
        width,
        height,
        grid: Patches { rows, cols },
    }
}

/// Appends `n` tokens in one batch and returns the logits after them.
pub(super) fn run(decoder: &mut Decoder, n: u32) -> Vec<f32> {
    let ids: Vec<u32> = (0..n).map(|i| 3 + i % 7).collect();
    let run = Run {
        ids: &ids,
        image_rows: &[],
    };
    let mut logits = Vec::new();
    decoder.append(&run, Outputs::Last, &mut logits).unwrap();
    logits
}
