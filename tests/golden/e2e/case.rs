//! One end-to-end case of the golden set: a request and what the reference computed for it.

use super::super::support;
use pixtral::{
    chat::Prompt,
    preprocess::{Patches, PreparedImage},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use std::{fs, sync::Arc};

/// A case with its tensors.
pub struct Case {
    pub name: String,
    pub request: Value,
    bytes: Vec<u8>,
}

/// Every case of the set.
pub fn all() -> Vec<Case> {
    let Some(folder) = support::section("e2e") else {
        return Vec::new();
    };
    let mut cases: Vec<Case> = fs::read_dir(&folder)
        .expect("the section can be listed")
        .filter_map(|entry| {
            let path = entry.expect("the section can be listed").path();
            if path.extension()? != "safetensors" {
                return None;
            }
            Some(Case {
                name: path.file_stem()?.to_str()?.to_owned(),
                request: support::json(path.with_extension("json"))["request"].clone(),
                bytes: support::read(&path),
            })
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!cases.is_empty(), "{}: no case", folder.display());
    cases
}

impl Case {
    /// The f32 tensor `name`, if the case has it.
    pub fn floats(&self, name: &str) -> Option<Vec<f32>> {
        let tensors = self.tensors();
        let view = tensors.tensor(name).ok()?;
        assert_eq!(view.dtype(), Dtype::F32, "{}: {name}", self.name);
        Some(
            view.data()
                .as_chunks::<4>()
                .0
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect(),
        )
    }

    /// The f32 tensor `name`.
    pub fn expect_floats(&self, name: &str) -> Vec<f32> {
        self.floats(name)
            .unwrap_or_else(|| panic!("{}: no tensor {name}", self.name))
    }

    /// The integer tensor `name`.
    pub fn ids(&self, name: &str) -> Vec<u32> {
        let tensors = self.tensors();
        let view = tensors
            .tensor(name)
            .unwrap_or_else(|e| panic!("{}: {name}: {e}", self.name));
        match view.dtype() {
            Dtype::I32 => integers::<4>(&view, |b| i32::from_le_bytes(b).into()),
            Dtype::I64 => integers::<8>(&view, i64::from_le_bytes),
            other => panic!("{}: {name} is {other:?}", self.name),
        }
    }

    /// The pictures that the reference gave to its model.
    pub fn images(&self, patch_size: u32) -> Vec<Arc<PreparedImage>> {
        let tensors = self.tensors();
        (0..)
            .map_while(|i| {
                let name = format!("image.{i}");
                let shape = tensors.tensor(&name).ok()?.shape().to_vec();
                let [_, height, width] = shape[..] else {
                    panic!("{}: {name}", self.name)
                };
                let (width, height) = (width as u32, height as u32);
                let grid = Patches {
                    rows: height / patch_size,
                    cols: width / patch_size,
                };
                Some(Arc::new(PreparedImage {
                    pixels: self.expect_floats(&name),
                    width,
                    height,
                    grid,
                }))
            })
            .collect()
    }

    /// The reference's own prompt: its ids and its pixels.
    pub fn prompt(&self, patch_size: u32) -> Prompt {
        Prompt {
            ids: self.ids("ids"),
            images: self.images(patch_size),
        }
    }

    /// Names of the tensors that begin with `prefix`.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let tensors = self.tensors();
        tensors
            .names()
            .into_iter()
            .filter(|n| n.starts_with(prefix))
            .map(Into::into)
            .collect()
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }
}

fn integers<const N: usize>(view: &TensorView, parse: fn([u8; N]) -> i64) -> Vec<u32> {
    let (chunks, _) = view.data().as_chunks::<N>();
    chunks
        .iter()
        .map(|&b| u32::try_from(parse(b)).expect("a token id"))
        .collect()
}

/// `‖a − b‖ / ‖b‖`.
pub fn relative_l2(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "both have the same length");
    let error: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum();
    let norm: f64 = b.iter().map(|b| f64::from(*b).powi(2)).sum();
    (error / norm).sqrt()
}
