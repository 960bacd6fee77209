//! The golden checkpoint as a model, converted once per type.

use super::super::support;
use pixtral::{
    checkpoint::{Checkpoint, TensorSource},
    quantize::{Event, QuantizeOptions, quantize},
    runtime::Model,
};
use std::{ops::ControlFlow, sync::Arc};

/// The golden checkpoint converted to the recipe `name`.
pub fn golden(name: &str) -> Arc<Model> {
    convert(
        &Checkpoint::open(&support::root().join("checkpoint/mistral")).unwrap(),
        name,
    )
}

/// `source` converted to the recipe `name`.
pub fn convert(source: &dyn TensorSource, name: &str) -> Arc<Model> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{name}.gguf"));
    let recipe = name.parse().unwrap();
    let options = QuantizeOptions::default();
    let mut silent = |_: &Event| ControlFlow::Continue(());
    quantize(source, &path, &recipe, &options, &mut silent).unwrap();
    Model::open(&path).unwrap()
}
