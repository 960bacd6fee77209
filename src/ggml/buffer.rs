//! Memory that tensors live in: allocated on a device, borrowed from a mapped file, or only thought
//! of, for measuring what a graph would need.

use super::{Backend, Context, Device, Tensor, cpu_variant, log};
use crate::{Error, ErrorKind, Result};
use ggml_sys as sys;
use std::{any::Any, ptr::NonNull, sync::Arc};

/// A block of backend memory. Cheap to clone; freed with the last clone.
#[derive(Clone)]
pub struct Buffer {
    inner: Arc<Inner>,
}

struct Inner {
    ptr: NonNull<sys::ggml_backend_buffer>,
    source: Source,
}

/// Where the bytes come from. Dropped after the buffer.
enum Source {
    /// They were allocated on this device.
    Allocated(Device),
    /// They are somebody else's.
    Borrowed { _owner: Arc<dyn Any + Send + Sync> },
    /// There are none.
    Imagined { _device: Device },
}

// SAFETY: a buffer is only handed around and freed here; ggml's calls that write through it go
// through `Tensor` and `Scheduler`, which take care of their own exclusion.
unsafe impl Send for Inner {}
// SAFETY: as above; all calls made through a shared reference only read.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: the pointer came from ggml and is freed exactly once, here.
        unsafe { sys::ggml_backend_buffer_free(self.ptr.as_ptr()) }
    }
}

impl Buffer {
    /// Allocates memory on the device of `backend` for all tensors of `context` that have none yet.
    pub fn allocate(context: &Context, backend: &Backend) -> Result<Self> {
        Self::allocate_on(context, backend.device())
    }

    /// Allocates memory on `device` for all tensors of `context` that have none yet.
    pub fn allocate_on(context: &Context, device: &Device) -> Result<Self> {
        // SAFETY: context and buffer type are alive for the call.
        let ptr = unsafe {
            sys::ggml_backend_alloc_ctx_tensors_from_buft(context.as_ptr(), device.buffer_type())
        };
        device.check()?;
        let ptr = NonNull::new(ptr).ok_or_else(|| {
            Error::new(
                ErrorKind::OutOfMemory,
                log::explain(&format!("{} has no memory for tensors", device.name())),
            )
        })?;
        let buffer = Self {
            inner: Arc::new(Inner {
                ptr,
                source: Source::Allocated(device.clone()),
            }),
        };
        context.keep_buffer(&buffer);
        Ok(buffer)
    }

    /// The same for weights: operations then go where the weights are.
    pub fn allocate_weights_on(context: &Context, device: &Device) -> Result<Self> {
        let buffer = Self::allocate_on(context, device)?;
        buffer.mark_weights();
        Ok(buffer)
    }

    /// Bytes that [`allocate_on`](Self::allocate_on) would allocate.
    pub fn needed_on(context: &Context, device: &Device) -> Result<u64> {
        // SAFETY: context and buffer type are alive for the call, which only adds up sizes.
        let n_bytes = unsafe {
            sys::ggml_backend_alloc_ctx_tensors_from_buft_size(
                context.as_ptr(),
                device.buffer_type(),
            )
        };
        device.check()?;
        Ok(n_bytes as u64)
    }

    /// Makes all tensors of `context` look as if they were weights on `device`, without memory:
    /// enough to [measure](super::Scheduler::measure) graphs that use them, and nothing else.
    pub fn imagine_on(context: &Context, device: &Device) -> Result<Self> {
        // SAFETY: the buffer type is alive; a size of 0 makes a buffer without memory.
        let ptr = unsafe { sys::ggml_backend_buft_alloc_buffer(device.buffer_type(), 0) };
        device.check()?;
        let ptr = NonNull::new(ptr)
            .ok_or_else(|| Error::new(ErrorKind::Backend, "cannot describe a buffer"))?;
        let buffer = Self {
            inner: Arc::new(Inner {
                ptr,
                source: Source::Imagined {
                    _device: device.clone(),
                },
            }),
        };
        buffer.mark_weights();
        context.attach(&buffer);
        context.keep_buffer(&buffer);
        Ok(buffer)
    }

    fn mark_weights(&self) {
        // SAFETY: the buffer is alive and not yet used by any graph.
        unsafe {
            sys::ggml_backend_buffer_set_usage(
                self.as_ptr(),
                sys::GGML_BACKEND_BUFFER_USAGE_WEIGHTS,
            );
        }
    }

    /// Wraps read-only host memory, without copying, for the CPU to compute from. `owner` keeps
    /// the bytes alive and must hand out the same `bytes` on every call.
    pub fn from_host<O>(owner: Arc<O>, bytes: fn(&O) -> &[u8]) -> Result<Self>
    where
        O: Any + Send + Sync,
    {
        cpu_variant()?;
        let slice = bytes(&owner);
        // SAFETY: the memory stays valid while `owner` lives, which the buffer holds. ggml takes
        // a mutable pointer but writes to weights only through tensor writes, and `Tensor::write`
        // refuses tensors in borrowed memory.
        let ptr = unsafe {
            sys::ggml_backend_cpu_buffer_from_ptr(slice.as_ptr().cast_mut().cast(), slice.len())
        };
        let ptr = NonNull::new(ptr).ok_or_else(|| {
            Error::new(
                ErrorKind::Backend,
                log::explain("cannot wrap the mapped file"),
            )
        })?;
        let buffer = Self {
            inner: Arc::new(Inner {
                ptr,
                source: Source::Borrowed { _owner: owner },
            }),
        };
        buffer.mark_weights();
        Ok(buffer)
    }

    /// Places `tensor` at `offset` bytes into this buffer.
    ///
    /// Errors if the tensor would not fit or is not aligned as the backend needs.
    pub fn place(&self, context: &Context, tensor: &Tensor, offset: usize) -> Result<()> {
        let buffer = self.inner.ptr.as_ptr();
        // SAFETY: the buffer is alive; the calls only read its description.
        let (base, size, alignment) = unsafe {
            (
                sys::ggml_backend_buffer_get_base(buffer) as usize,
                sys::ggml_backend_buffer_get_size(buffer),
                sys::ggml_backend_buffer_get_alignment(buffer),
            )
        };
        let fits = offset
            .checked_add(tensor.n_bytes())
            .is_some_and(|end| end <= size);
        if !fits || !(base + offset).is_multiple_of(alignment) {
            return Err(Error::new(
                ErrorKind::Internal,
                format!(
                    "tensor {} does not fit at byte {offset} of a buffer of {size}",
                    tensor.name()
                ),
            ));
        }
        // SAFETY: offset and size were just checked against the buffer.
        let status = unsafe {
            sys::ggml_backend_tensor_alloc(buffer, tensor.as_ptr(), (base + offset) as *mut _)
        };
        if status != sys::GGML_STATUS_SUCCESS {
            return Err(Error::new(
                ErrorKind::Backend,
                log::explain("cannot place a tensor"),
            ));
        }
        context.keep_buffer(self);
        Ok(())
    }

    /// Size in bytes.
    pub fn n_bytes(&self) -> usize {
        // SAFETY: the buffer is alive.
        unsafe { sys::ggml_backend_buffer_get_size(self.inner.ptr.as_ptr()) }
    }

    /// The device whose memory it is, if it was allocated here: only then tensors in it are for
    /// reading and writing.
    pub(super) fn device(&self) -> Option<&Device> {
        match &self.inner.source {
            Source::Allocated(device) => Some(device),
            Source::Borrowed { .. } | Source::Imagined { .. } => None,
        }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::ggml_backend_buffer {
        self.inner.ptr.as_ptr()
    }
}
