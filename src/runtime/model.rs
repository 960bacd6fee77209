//! A model file, opened: mapped, checked against its own blueprint, weights placed without a copy.

use super::{fit::Footprint, threads::default_threads};
use crate::{
    Error, ErrorKind, Result,
    config::{Config, Group, Role, TensorSpec, inventory},
    ggml::{Buffer, Context, Tensor, Type},
    gguf::{self, CHECKSUM_KEY, TensorType},
    model::Weights,
    tokenizer::Tokenizer,
};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
};
use xxhash_rust::xxh3::Xxh3;

/// An opened model. Read-only: any number of sessions can share one.
pub struct Model {
    file: Arc<gguf::File>,
    config: Config,
    tokenizer: Tokenizer,
    weights: Weights,
    /// The same weights by name.
    tensors: HashMap<String, Tensor>,
}

impl Model {
    /// Opens the GGUF file at `path`, as `pixtral-quantize` writes it.
    ///
    /// Nothing is copied: weights are read from the mapped file when they are first used. Errors
    /// if the file is damaged, of another model, or lacks a tensor.
    pub fn open(path: impl AsRef<Path>) -> Result<Arc<Self>> {
        Self::from_file(gguf::File::open(path.as_ref())?)
    }

    /// The same from a container that is already open.
    pub fn from_file(file: gguf::File) -> Result<Arc<Self>> {
        let name = file.path().display().to_string();
        let config = Config::from_metadata(file.metadata()).map_err(|e| e.context(&name))?;
        let tokenizer = Tokenizer::from_metadata(file.metadata()).map_err(|e| e.context(&name))?;
        if tokenizer.vocab_size() != config.text.vocab_size {
            return Err(Error::new(
                ErrorKind::InvalidFile,
                format!(
                    "{name}: the tokenizer has {} tokens but the model {}: convert the checkpoint again",
                    tokenizer.vocab_size(),
                    config.text.vocab_size
                ),
            ));
        }
        let file = Arc::new(file);
        let tensors = map_tensors(&file, &config).map_err(|e| e.context(&name))?;
        Ok(Arc::new(Self {
            weights: Weights::collect(&config, |name| find(&tensors, name))?,
            tensors,
            file,
            config,
            tokenizer,
        }))
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// What its weights take in memory, by what they are for.
    pub fn footprint(&self) -> Footprint {
        Footprint::new(&self.config, |spec| {
            self.file.find(&spec.name).map_or(0, |info| info.n_bytes)
        })
    }

    /// Bytes of weights that computing one token reads: all matrices of the decoder, and one row
    /// of the embedding. What generating costs is this over the memory's bandwidth.
    pub fn bytes_per_token(&self) -> u64 {
        self.footprint().bytes_per_token()
    }

    /// Bytes of a group of weights in the file.
    pub fn group_bytes(&self, group: Group) -> u64 {
        let specs = inventory(&self.config);
        let of_group = specs.iter().filter(|spec| spec.group == group);
        of_group
            .filter_map(|spec| self.file.find(&spec.name))
            .map(|info| info.n_bytes)
            .sum()
    }

    /// Threads to compute with unless somebody says otherwise: the physical performance cores, or
    /// fewer for a small model.
    pub fn default_threads(&self) -> usize {
        default_threads(self.bytes_per_token())
    }

    /// Identity of what makes a picture's embedding: shape and weights of the vision tower and its
    /// projector. `None` if the file has no checksums.
    pub fn vision_fingerprint(&self) -> Option<u128> {
        let tensors = self.file.tensors();
        let checksums = self.file.metadata().u64s(CHECKSUM_KEY).ok()?;
        if checksums.len() != tensors.len() {
            return None;
        }
        let specs = inventory(&self.config);
        let vision: HashSet<&str> = specs
            .iter()
            .filter(|spec| spec.group == Group::Vision)
            .map(|spec| spec.name.as_str())
            .collect();
        let mut hash = Xxh3::new();
        hash.update(format!("{:?}", self.config.vision).as_bytes());
        for (info, checksum) in tensors.iter().zip(checksums) {
            if vision.contains(info.name.as_str()) {
                hash.update(info.name.as_bytes());
                hash.update(&info.ty.id().to_le_bytes());
                hash.update(&checksum.to_le_bytes());
            }
        }
        Some(hash.digest128())
    }

    /// The file the model was opened from.
    pub fn file(&self) -> &gguf::File {
        &self.file
    }

    /// The weights where they lie in the file.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weight called `name` where it lies in the file.
    pub(super) fn tensor(&self, name: &str) -> Result<Tensor> {
        find(&self.tensors, name)
    }
}

fn find(tensors: &HashMap<String, Tensor>, name: &str) -> Result<Tensor> {
    tensors.get(name).cloned().ok_or_else(|| {
        Error::new(
            ErrorKind::Internal,
            format!("tensor {name} is not in the inventory"),
        )
    })
}

/// Wraps the mapping as one buffer and puts every tensor of the blueprint at its offset.
fn map_tensors(file: &Arc<gguf::File>, config: &Config) -> Result<HashMap<String, Tensor>> {
    let specs = inventory(config);
    let context = Context::new(specs.len(), 0)?;
    let buffer = Buffer::from_host(file.clone(), gguf::File::bytes)?;
    let place = |spec: TensorSpec| {
        let info = file.tensor(&spec.name)?;
        check(&spec, info)?;
        let tensor = place(&context, &buffer, info)?;
        Ok((spec.name, tensor))
    };
    specs.into_iter().map(place).collect()
}

fn place(context: &Context, buffer: &Buffer, info: &gguf::TensorInfo) -> Result<Tensor> {
    let too_large = |_| {
        Error::new(
            ErrorKind::InvalidTensor,
            format!("tensor {} is too large for this machine", info.name),
        )
    };
    let dims = info
        .dims
        .iter()
        .map(|&n| usize::try_from(n).map_err(too_large))
        .collect::<Result<Vec<_>>>()?;
    let tensor = context.tensor(Type::from(info.ty), &dims);
    context.name(&tensor, &info.name);
    buffer.place(
        context,
        &tensor,
        usize::try_from(info.offset).map_err(too_large)?,
    )?;
    Ok(tensor)
}

/// Refuses a tensor that the graphs could not use.
fn check(spec: &TensorSpec, info: &gguf::TensorInfo) -> Result<()> {
    if info.dims != spec.dims {
        return Err(Error::new(
            ErrorKind::InvalidTensor,
            format!(
                "tensor {}: expected {:?}, found {:?}; the file is from another model or damaged: \
                 run `pixtral inspect --verify`",
                spec.name, spec.dims, info.dims
            ),
        ));
    }
    let vector = matches!(spec.role, Role::Norm | Role::Bias);
    if vector && info.ty != TensorType::F32 {
        return Err(Error::new(
            ErrorKind::UnsupportedType,
            format!(
                "tensor {}: norms and biases are f32, found {}",
                spec.name, info.ty
            ),
        ));
    }
    Ok(())
}
