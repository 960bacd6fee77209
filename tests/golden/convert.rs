//! The converter on the two layouts of the small model: they give the same file, whose values are
//! those of the checkpoint.

use crate::support;
use pixtral::{
    checkpoint::{Checkpoint, TensorRows},
    config::inventory,
    ggml::quantize::dequantize_rows,
    gguf::File,
    quantize::{Event, QuantizeOptions, TYPES, quantize},
    runtime::Model,
};
use std::{fs, ops::ControlFlow, path::Path};

fn silent(_: &Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn convert(checkpoint: &Checkpoint, path: &Path, recipe: &str) {
    let recipe = recipe.parse().unwrap();
    let options = QuantizeOptions::default();
    quantize(checkpoint, path, &recipe, &options, &mut silent).unwrap();
}

fn mistral() -> Option<Checkpoint> {
    let folder = support::section("checkpoint")?.join("mistral");
    Some(Checkpoint::open(&folder).unwrap())
}

#[test]
fn both_layouts_give_the_same_file_byte_for_byte() {
    let (Some(mistral), Some(folder)) = (mistral(), support::hf_checkpoint()) else {
        return;
    };
    let hf = Checkpoint::open(folder.path()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for recipe in ["f32", "bf16", "q8_0", "q4_k"] {
        let path = |layout| dir.path().join(format!("{layout}-{recipe}.gguf"));
        convert(&mistral, &path("mistral"), recipe);
        convert(&hf, &path("hf"), recipe);
        let same = fs::read(path("mistral")).unwrap() == fs::read(path("hf")).unwrap();
        assert!(same, "{recipe}");
    }
}

#[test]
fn plain_types_keep_every_value_of_the_checkpoint() {
    let Some(checkpoint) = mistral() else { return };
    let dir = tempfile::tempdir().unwrap();
    for recipe in ["f32", "bf16"] {
        let path = dir.path().join(recipe);
        convert(&checkpoint, &path, recipe);
        let file = File::open(&path).unwrap();
        for spec in inventory(checkpoint.config()) {
            let tensor = checkpoint.tensor(&spec).unwrap();
            let mut expected = vec![0.0; spec.n_elements() as usize];
            tensor.read_rows(0..tensor.n_rows(), &mut expected).unwrap();
            let info = file.tensor(&spec.name).unwrap();
            let mut found = vec![0.0; expected.len()];
            let row_len = spec.dims[0] as usize;
            dequantize_rows(info.ty.into(), file.data(info), row_len, &mut found).unwrap();
            assert!(found == expected, "{recipe}: {}", spec.name);
        }
    }
}

#[test]
fn every_recipe_gives_a_model_that_opens_and_verifies() {
    let Some(checkpoint) = mistral() else { return };
    let dir = tempfile::tempdir().unwrap();
    for ty in TYPES {
        let path = dir.path().join(ty.name());
        convert(&checkpoint, &path, ty.name());
        let model = Model::open(&path).unwrap();
        let verified = model.file().verify(|_, _| ControlFlow::Continue(()));
        verified.unwrap();
    }
}
