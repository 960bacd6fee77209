//! Memory that tensors live in: allocated by a backend, or borrowed from a mapped file.

use super::{Backend, Context, Tensor, cpu_variant, log};
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
    /// What the bytes are borrowed from, dropped after the buffer.
    _owner: Option<Arc<dyn Any + Send + Sync>>,
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
    /// Allocates memory on `backend` for all tensors of `context` that have none yet.
    pub fn allocate(context: &Context, backend: &Backend) -> Result<Self> {
        // SAFETY: both pointers are alive for the call.
        let ptr =
            unsafe { sys::ggml_backend_alloc_ctx_tensors(context.as_ptr(), backend.as_ptr()) };
        let ptr = NonNull::new(ptr).ok_or_else(|| {
            Error::new(
                ErrorKind::OutOfMemory,
                log::explain("cannot allocate memory for tensors"),
            )
        })?;
        let buffer = Self {
            inner: Arc::new(Inner { ptr, _owner: None }),
        };
        context.keep_buffer(&buffer);
        Ok(buffer)
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
        // SAFETY: the pointer was just created.
        unsafe {
            sys::ggml_backend_buffer_set_usage(
                ptr.as_ptr(),
                sys::GGML_BACKEND_BUFFER_USAGE_WEIGHTS,
            );
        }
        Ok(Self {
            inner: Arc::new(Inner {
                ptr,
                _owner: Some(owner),
            }),
        })
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

    pub(super) fn is_borrowed(&self) -> bool {
        self.inner._owner.is_some()
    }

    pub(super) fn as_ptr(&self) -> *mut sys::ggml_backend_buffer {
        self.inner.ptr.as_ptr()
    }
}
