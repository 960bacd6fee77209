//! The key-value cache: what the decoder remembers of the tokens it has seen.

use crate::{
    Error, ErrorKind, Result,
    config::TextConfig,
    ggml::{Buffer, Context, Device, Tensor, Type},
    model::decoder::KvLayer,
};
use std::{fmt, str::FromStr};

/// Storage type of the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvType {
    /// 32-bit floats, for comparing with a reference.
    F32,
    /// 16-bit floats.
    #[default]
    F16,
    /// Blocks of 8-bit integers: about half the memory of f16.
    Q8_0,
}

impl KvType {
    fn ty(self) -> Type {
        match self {
            KvType::F32 => Type::F32,
            KvType::F16 => Type::F16,
            KvType::Q8_0 => Type::Q8_0,
        }
    }

    /// Bytes of the cache for one token of a model of shape `text`.
    pub fn bytes_per_token(self, text: &TextConfig) -> u64 {
        let cell = self.ty().row_bytes(text.kv_length() as usize) as u64;
        2 * cell * u64::from(text.block_count)
    }

    /// Refuses a type whose blocks do not fill the heads of a model of shape `text`.
    pub(super) fn check(self, text: &TextConfig) -> Result<()> {
        let block = self.ty().block_size();
        if !(text.head_dim as usize).is_multiple_of(block) {
            return Err(Error::new(
                ErrorKind::UnsupportedType,
                format!(
                    "heads of {} elements do not fill the cache type's blocks of {block}: use f16",
                    text.head_dim,
                ),
            ));
        }
        Ok(())
    }

    /// The cache of one layer for `n_ctx` tokens of a model of shape `text`, not yet in memory.
    pub(super) fn layer(self, context: &Context, text: &TextConfig, n_ctx: usize) -> KvLayer {
        let dims = [text.kv_length() as usize, n_ctx];
        KvLayer {
            k: context.tensor(self.ty(), &dims),
            v: context.tensor(self.ty(), &dims),
        }
    }
}

impl fmt::Display for KvType {
    /// The name that `from_str` reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            KvType::F32 => "f32",
            KvType::F16 => "f16",
            KvType::Q8_0 => "q8_0",
        })
    }
}

impl FromStr for KvType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "f32" => Ok(KvType::F32),
            "f16" => Ok(KvType::F16),
            "q8_0" => Ok(KvType::Q8_0),
            _ => Err(Error::new(
                ErrorKind::UnsupportedType,
                format!("cache type {name:?} is unknown, expected f32, f16 or q8_0"),
            )),
        }
    }
}

/// The cache of one sequence: cell `p` holds the token at position `p`.
pub(super) struct KvCache {
    layers: Vec<KvLayer>,
    n_ctx: usize,
    /// Cells that hold tokens.
    len: usize,
    /// Cells that have been cleared or written: attention never reads beyond them.
    clean: usize,
}

impl KvCache {
    /// An empty cache for `n_ctx` tokens. `home` gives the device of each layer, by which layers of
    /// one device share a piece of memory.
    pub(super) fn new(
        text: &TextConfig,
        ty: KvType,
        n_ctx: usize,
        home: &impl Fn(usize) -> Device,
    ) -> Result<Self> {
        ty.check(text)?;
        let n_layers = text.block_count as usize;
        let homes: Vec<Device> = (0..n_layers).map(home).collect();
        let mut layers = Vec::with_capacity(n_layers);
        for same in homes.chunk_by(|a, b| a.is(b)) {
            let context = Context::new(2 * same.len(), 0)?;
            layers.extend(same.iter().map(|_| ty.layer(&context, text, n_ctx)));
            Buffer::allocate_on(&context, &same[0]).map_err(|e| {
                e.context(format!(
                    "key-value cache of {n_ctx} tokens (a smaller context needs less)"
                ))
            })?;
        }
        Ok(Self {
            layers,
            n_ctx,
            len: 0,
            clean: 0,
        })
    }

    pub(super) fn layers(&self) -> &[KvLayer] {
        &self.layers
    }

    pub(super) fn n_ctx(&self) -> usize {
        self.n_ctx
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Forgets all tokens from position `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Takes note that `n` more cells hold tokens.
    pub(super) fn advance(&mut self, n: usize) {
        self.len += n;
        self.clean = self.clean.max(self.len);
    }

    /// Passes the bytes of all cells that hold tokens to `sink`: layer by layer the keys of all
    /// tokens, then their values.
    pub(super) fn export(&self, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut bytes = Vec::new();
        for layer in &self.layers {
            for tensor in [&layer.k, &layer.v] {
                bytes.resize(self.len * tensor.strides()[1], 0);
                tensor.read_bytes(0, &mut bytes)?;
                sink(&bytes)?;
            }
        }
        Ok(())
    }

    /// Makes the cache hold `n` tokens whose cells are `bytes`, in the order of
    /// [`export`](Self::export).
    pub(super) fn import(&mut self, n: usize, bytes: &[u8]) -> Result<()> {
        let cell = |tensor: &Tensor| tensor.strides()[1];
        let tensors = self.layers.iter().flat_map(|layer| [&layer.k, &layer.v]);
        let per_token: usize = tensors.map(cell).sum();
        if n > self.n_ctx || bytes.len() != n * per_token {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("{} bytes are no cache of {n} tokens", bytes.len()),
            ));
        }
        // Should a write fail, nothing half-written counts.
        self.len = 0;
        let mut rest = bytes;
        for layer in &mut self.layers {
            for tensor in [&mut layer.k, &mut layer.v] {
                let (cells, behind) = rest.split_at(n * cell(tensor));
                tensor.write_bytes(0, cells)?;
                rest = behind;
            }
        }
        self.advance(n);
        Ok(())
    }

    /// Makes the cache, whose cells are equal to the first ones of `other`, hold all of the first `n`.
    pub(super) fn copy_from(&mut self, other: &KvCache, n: usize) -> Result<()> {
        if n > other.len || n > self.n_ctx {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{n} tokens cannot be copied from a sequence of {}",
                    other.len
                ),
            ));
        }
        let known = self.len.min(n);
        let mut bytes = Vec::new();
        for (layer, source) in self.layers.iter_mut().zip(&other.layers) {
            let pairs = [(&mut layer.k, &source.k), (&mut layer.v, &source.v)];
            for (tensor, source) in pairs {
                let cell = source.strides()[1];
                bytes.resize((n - known) * cell, 0);
                source.read_bytes(known * cell, &mut bytes)?;
                tensor.write_bytes(known * cell, &bytes)?;
            }
        }
        self.advance(n - known);
        Ok(())
    }

    /// Makes the first `n` cells readable: cells never written hold whatever the memory held, and
    /// even masked ones must not be NaN. Clearing as the conversation grows, not at the start,
    /// keeps untouched memory untouched.
    pub(super) fn make_readable(&mut self, n: usize) -> Result<()> {
        if n <= self.clean {
            return Ok(());
        }
        for layer in &mut self.layers {
            for tensor in [&mut layer.k, &mut layer.v] {
                let cell = tensor.strides()[1];
                tensor.clear(self.clean * cell, (n - self.clean) * cell)?;
            }
        }
        self.clean = n;
        Ok(())
    }
}
