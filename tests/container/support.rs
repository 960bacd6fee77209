//! Files to work on: planned, written, and read back from bytes.

use pixtral::gguf::{File, Metadata, Plan, PlannedTensor, TensorType, WriteOptions, Writer};
use std::{fs, path::Path};

/// A plan of `tensors`: name, type and shape each.
pub fn plan(metadata: Metadata, tensors: &[(&str, TensorType, &[u64])]) -> Plan {
    let tensors = tensors
        .iter()
        .map(|&(name, ty, dims)| PlannedTensor {
            name: name.to_owned(),
            ty,
            dims: dims.to_vec(),
            align: 64,
        })
        .collect();
    Plan::new(metadata, tensors).expect("the plan is sound")
}

/// A small plan with a value of several kinds and tensors of several types.
pub fn small_plan() -> Plan {
    let mut metadata = Metadata::new();
    metadata.insert("general.architecture", "pixtral");
    metadata.insert("some.number", 7u32);
    metadata.insert("some.flag", true);
    metadata.insert("some.words", vec!["a".to_owned(), "é".to_owned()]);
    metadata.insert("some.floats", vec![1.5f32, -2.0]);
    plan(
        metadata,
        &[
            ("first", TensorType::F32, &[3, 2]),
            ("second", TensorType::Q8_0, &[64]),
            ("third", TensorType::BF16, &[5]),
        ],
    )
}

/// The bytes that tensor `index` of `plan` is filled with in these tests.
pub fn content(plan: &Plan, index: usize) -> Vec<u8> {
    let n = plan.places()[index].n_bytes as usize;
    (0..n).map(|i| (i * 31 + index * 7 + 1) as u8).collect()
}

/// Writes all tensors of `plan` to `path`.
pub fn write(path: &Path, plan: Plan) {
    let contents: Vec<Vec<u8>> = (0..plan.tensors().len())
        .map(|index| content(&plan, index))
        .collect();
    let mut writer = Writer::create(path, plan, WriteOptions::default()).expect("created");
    for bytes in contents {
        writer.write(&bytes).expect("written");
    }
    writer.finish().expect("finished");
}

/// The bytes of the file that `plan` makes.
pub fn bytes_of(plan: Plan) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.gguf");
    write(&path, plan);
    fs::read(path).expect("read")
}

/// Everything that a reader can learn from a file.
#[derive(Debug, PartialEq)]
pub struct Reading {
    metadata: Metadata,
    tensors: Vec<(String, TensorType, Vec<u64>, Vec<u8>)>,
}

/// Reads `bytes` as a file.
pub fn read(bytes: &[u8]) -> pixtral::Result<Reading> {
    let file = File::from_bytes("x.gguf", bytes)?;
    let tensors = file.tensors().iter();
    Ok(Reading {
        metadata: file.metadata().clone(),
        tensors: tensors
            .map(|t| {
                let data = file.data(t).to_vec();
                (t.name.clone(), t.ty, t.dims.clone(), data)
            })
            .collect(),
    })
}
