//! A model file, opened: mapped or copied into memory, checked against its own blueprint, weights
//! placed where the file's bytes are.

use super::{
    LoadMode, LoadOptions,
    fit::Footprint,
    load::{Choice, ReadAhead, choose_for},
    memory::Available,
    paging::{Pager, Part},
    threads::default_threads,
};
use crate::{
    Error, ErrorKind, Result,
    config::{Config, Group, Role, TensorSpec, inventory},
    ggml::{Buffer, Context, Tensor, Type},
    gguf::{self, Advice, CHECKSUM_KEY, TensorType},
    model::Weights,
    tokenizer::Tokenizer,
};
use std::{
    collections::{HashMap, HashSet},
    ops::{ControlFlow, Range},
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
    loading: Choice,
    /// Goes on until the model is dropped, everything is loaded or memory turns out to be short.
    read_ahead: Option<ReadAhead>,
}

impl Model {
    /// Opens the GGUF file at `path`, as `pixtral-quantize` writes it.
    ///
    /// Nothing is copied: weights are read where the file is mapped, which a thread loads into memory
    /// meanwhile, if it fits. Errors if the file is damaged, of another model, or lacks a tensor.
    pub fn open(path: impl AsRef<Path>) -> Result<Arc<Self>> {
        Self::open_with(path, &LoadOptions::default(), &mut |_, _| {
            ControlFlow::Continue(())
        })
    }

    /// The same, with a say in how the file is loaded. While it is copied into memory, `progress` is
    /// called with the bytes done and their number; it may break off.
    ///
    /// Errors with `OutOfMemory` if a copy is asked for that does not fit, with `Cancelled` if
    /// `progress` broke off.
    pub fn open_with(
        path: impl AsRef<Path>,
        options: &LoadOptions,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Arc<Self>> {
        Self::from_file_with(gguf::File::open(path.as_ref())?, options, progress)
    }

    /// The model in a container that is already open, used where it is.
    pub fn from_file(file: gguf::File) -> Result<Arc<Self>> {
        Self::from_file_with(file, &LoadOptions::default(), &mut |_, _| {
            ControlFlow::Continue(())
        })
    }

    /// The model in a container that is already open, loaded as [`open_with`](Self::open_with) does.
    pub fn from_file_with(
        file: gguf::File,
        options: &LoadOptions,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Arc<Self>> {
        let loading = choose_for(&file, options.mode)?;
        // Before anything is copied, what is no model is refused.
        let (config, tokenizer) = read_header(&file)?;
        let file = match loading.mode {
            LoadMode::Copy => file.copy_into_memory(progress)?,
            _ => file,
        };
        Self::new(file, config, tokenizer, loading)
    }

    fn new(
        file: gguf::File,
        config: Config,
        tokenizer: Tokenizer,
        loading: Choice,
    ) -> Result<Arc<Self>> {
        let file = Arc::new(file);
        let tensors = map_tensors(&file, &config).map_err(|e| e.context(file.path().display()))?;
        let weights = Weights::collect(&config, |name| find(&tensors, name))?;
        let fits = Available::now().is_none_or(|a| a.bytes >= file.bytes().len() as u64);
        Ok(Arc::new(Self {
            read_ahead: (file.is_mapped() && fits).then(|| ReadAhead::start(file.clone())),
            file,
            config,
            tokenizer,
            weights,
            tensors,
            loading,
        }))
    }

    /// Waits until no weights are loaded in the background any more: for measuring computing alone.
    pub fn wait_until_loaded(&self) {
        if let Some(read_ahead) = &self.read_ahead {
            read_ahead.wait();
        }
    }

    /// Where weights are read from, and why.
    pub fn loading(&self) -> &Choice {
        &self.loading
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

    /// What keeps weights coming if `budget` bytes of memory do not hold those that computing a token
    /// reads; `None` if they do, or if the file is not mapped.
    pub(super) fn pager(&self, budget: u64) -> Option<Pager> {
        if !self.file.is_mapped() {
            return None;
        }
        let pager = Pager::new(self.file.clone(), self.parts(|_| true), budget)?;
        if let Some(read_ahead) = &self.read_ahead {
            read_ahead.stop();
        }
        self.release_vision();
        Some(pager)
    }

    /// The weights that computing a token reads, in the order in which it does: each decoder layer,
    /// then the output; the embedding, of which it reads one row, is not among them. Only groups
    /// that are `wanted`.
    pub(super) fn parts(&self, wanted: impl Fn(Group) -> bool) -> Vec<Part> {
        let mut parts: Vec<(Group, Part)> = Vec::new();
        for spec in inventory(&self.config) {
            let (Group::Block(_) | Group::Output, Some(info)) =
                (spec.group, self.file.find(&spec.name))
            else {
                continue;
            };
            if !wanted(spec.group) {
                continue;
            }
            let range = info.offset..info.offset + info.n_bytes;
            match parts.last_mut() {
                Some((group, part)) if *group == spec.group => part.push(range),
                _ => parts.push((spec.group, vec![range])),
            }
        }
        parts.into_iter().map(|(_, part)| joined(part)).collect()
    }

    /// Gives back the memory that the vision tower's weights take, if they are mapped.
    pub(super) fn release_vision(&self) {
        let specs = inventory(&self.config).into_iter();
        let vision = specs.filter(|spec| spec.group == Group::Vision);
        let ranges = vision.filter_map(|spec| {
            let info = self.file.find(&spec.name)?;
            Some(info.offset..info.offset + info.n_bytes)
        });
        for range in joined(ranges.collect()) {
            self.file.advise(range, Advice::Evict);
        }
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

/// The blueprint and the tokenizer in the metadata of `file`.
fn read_header(file: &gguf::File) -> Result<(Config, Tokenizer)> {
    let name = file.path().display();
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
    Ok((config, tokenizer))
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

/// `ranges` in ascending order, those joined between which at most a page of padding lies.
fn joined(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    const PADDING: u64 = 4096;
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end + PADDING => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
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
