//! Finds each tensor that a model needs among those that the files hold, and complains about what
//! is missing, doubled, misshapen or left over.

use super::Format;
use super::fields::invalid;
use super::folder::Index;
use super::names::{RotaryHeads, is_part_of_model, name_in, normalise_hf};
use super::shard::{Entry, Shard};
use super::source::Dtype;
use super::tensor::SourceTensor;
use crate::config::{Config, TensorSpec, inventory};
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

/// Where each tensor of the model is, by our name.
pub(super) struct Tensors(HashMap<String, Place>);

struct Place {
    shard: usize,
    dtype: Dtype,
    /// In ggml order, as [`TensorSpec::dims`].
    dims: Vec<u64>,
    bytes: Range<usize>,
    heads: Option<RotaryHeads>,
}

impl Tensors {
    /// Finds every tensor of a model of shape `config`, as described by the file `config_file`.
    pub fn find(
        format: Format,
        config_file: &Path,
        config: &Config,
        shards: &[Shard],
        index: Option<&Index>,
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let mut found = collect(format, shards)?;
        if let Some(index) = index {
            check_index(index, format, shards, &found)?;
        }
        let mut places = HashMap::new();
        for spec in inventory(config) {
            let theirs = name_in(format, &spec.name).ok_or_else(|| {
                let message = format!("no layout names tensor {}", spec.name);
                Error::new(ErrorKind::Internal, message)
            })?;
            let Some((shard, entry)) = found.remove(&theirs) else {
                return Err(invalid(format!(
                    "{}: tensor {theirs} is missing, which {} calls for: download the checkpoint again",
                    shards[0].path.display(),
                    config_file.display()
                )));
            };
            let place = Place {
                shard,
                dtype: dtype(&shards[shard], &entry)?,
                dims: dims(&shards[shard], &entry, &spec, config_file)?,
                bytes: entry.bytes,
                heads: RotaryHeads::of(format, config, &spec),
            };
            places.insert(spec.name, place);
        }
        left_over(found, shards, config_file, notes)?;
        Ok(Self(places))
    }

    /// The tensor `spec`.
    pub fn get<'a>(&self, spec: &TensorSpec, shards: &'a [Shard]) -> Result<SourceTensor<'a>> {
        match self.0.get(&spec.name) {
            Some(place) if place.dims == spec.dims => Ok(SourceTensor {
                shard: &shards[place.shard],
                dtype: place.dtype,
                // `dims` checked that it is a dimension of the file's.
                row_len: spec.dims[0] as usize,
                bytes: place.bytes.clone(),
                heads: place.heads,
            }),
            _ => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{} {:?} is no tensor of this checkpoint",
                    spec.name, spec.dims
                ),
            )),
        }
    }
}

/// All tensors of all files by their normalised name, with the number of their file.
fn collect(format: Format, shards: &[Shard]) -> Result<HashMap<String, (usize, Entry)>> {
    let mut found: HashMap<String, (usize, Entry)> = HashMap::new();
    for (number, shard) in shards.iter().enumerate() {
        for entry in shard.entries() {
            let name = normalise(format, &entry.name);
            if let Some((other, _)) = found.get(&name) {
                return Err(invalid(format!(
                    "{}: tensor {} is also in {}: keep the files of one download only",
                    shard.path.display(),
                    entry.name,
                    shards[*other].path.display()
                )));
            }
            found.insert(name, (number, entry));
        }
    }
    Ok(found)
}

fn normalise(format: Format, name: &str) -> String {
    match format {
        Format::HuggingFace => normalise_hf(name).into_owned(),
        _ => name.to_string(),
    }
}

/// Checks that each tensor is in the file that the index says.
fn check_index(
    index: &Index,
    format: Format,
    shards: &[Shard],
    found: &HashMap<String, (usize, Entry)>,
) -> Result<()> {
    for (name, file) in &index.weight_map {
        let agrees = found
            .get(&normalise(format, name))
            .is_some_and(|(shard, _)| shards[*shard].path.ends_with(file));
        if !agrees {
            return Err(invalid(format!(
                "{}: says that {file} holds tensor {name}, but it does not: download both again",
                index.path.display()
            )));
        }
    }
    Ok(())
}

fn dtype(shard: &Shard, entry: &Entry) -> Result<Dtype> {
    match entry.dtype {
        safetensors::Dtype::BF16 => Ok(Dtype::BF16),
        safetensors::Dtype::F16 => Ok(Dtype::F16),
        safetensors::Dtype::F32 => Ok(Dtype::F32),
        other => Err(Error::new(
            ErrorKind::InvalidTensor,
            format!(
                "{}: tensor {} has type {other}, expected BF16, F16 or F32: use the unquantised checkpoint",
                shard.path.display(),
                entry.name
            ),
        )),
    }
}

/// The tensor's dimensions in ggml order, which must be those of `spec`.
fn dims(shard: &Shard, entry: &Entry, spec: &TensorSpec, config_file: &Path) -> Result<Vec<u64>> {
    let dims: Vec<u64> = entry.shape.iter().rev().map(|&n| n as u64).collect();
    if dims == spec.dims {
        return Ok(dims);
    }
    let expected: Vec<u64> = spec.dims.iter().rev().copied().collect();
    Err(Error::new(
        ErrorKind::InvalidTensor,
        format!(
            "{}: tensor {} has shape {:?}, expected {expected:?} after {}: the two are of different models",
            shard.path.display(),
            entry.name,
            entry.shape,
            config_file.display()
        ),
    ))
}

/// Notes the tensors that nothing asked for, and refuses those that the model would compute with.
fn left_over(
    found: HashMap<String, (usize, Entry)>,
    shards: &[Shard],
    config_file: &Path,
    notes: &mut Vec<String>,
) -> Result<()> {
    let mut rest: Vec<_> = found.into_iter().collect();
    rest.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, (shard, entry)) in rest {
        let path = shards[shard].path.display();
        if is_part_of_model(&name) {
            return Err(Error::new(
                ErrorKind::UnsupportedModel,
                format!(
                    "{path}: tensor {} is not part of the model that {} describes",
                    entry.name,
                    config_file.display()
                ),
            ));
        }
        notes.push(format!("{path}: unknown tensor {} is ignored", entry.name));
    }
    Ok(())
}
