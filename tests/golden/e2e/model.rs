//! The golden checkpoint as a model, converted once per type.

use super::super::support;
use pixtral::{
    checkpoint::{Checkpoint, TensorSource},
    config::inventory,
    ggml::{Type, quantize::quantize_rows},
    gguf::{Metadata, Plan, PlannedTensor, TensorType, WriteOptions, Writer},
    runtime::Model,
};
use std::sync::Arc;

/// The golden checkpoint converted to the recipe `name`.
pub fn golden(name: &str) -> Arc<Model> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{name}.gguf"));
    let checkpoint = Checkpoint::open(&support::root().join("checkpoint/mistral")).unwrap();
    let mut metadata = Metadata::new();
    checkpoint.config().to_metadata(&mut metadata);
    checkpoint.tokenizer().unwrap().to_metadata(&mut metadata);
    let ty: TensorType = name.parse().unwrap();
    let specs = inventory(checkpoint.config());
    let planned = specs
        .iter()
        .map(|s| PlannedTensor {
            name: s.name.clone(),
            ty: if s.dims.len() == 2 {
                ty
            } else {
                TensorType::F32
            },
            dims: s.dims.clone(),
            align: 64,
        })
        .collect();
    let plan = Plan::new(metadata, planned).unwrap();
    let mut writer = Writer::create(&path, plan, WriteOptions::default()).unwrap();
    for spec in &specs {
        let rows = TensorSource::tensor(&checkpoint, spec).unwrap();
        let mut values = vec![0.0; spec.n_elements() as usize];
        rows.read_rows(0..rows.n_rows(), &mut values).unwrap();
        let t: Type = if spec.dims.len() == 2 {
            ty
        } else {
            TensorType::F32
        }
        .into();
        let n = rows.row_len();
        let mut out = vec![0; values.len() / n * t.row_bytes(n)];
        quantize_rows(t, &values, n, &mut out).unwrap();
        writer.write(&out).unwrap();
    }
    writer.finish().unwrap();
    Model::open(&path).unwrap()
}
