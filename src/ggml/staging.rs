//! Memory of this machine that devices copy small results to the fastest. The CUDA driver moves what
//! goes elsewhere through memory of its own, the slower the more it has moved before.

use super::{Backend, Element};
use ggml_sys as sys;
use std::ptr::NonNull;

/// Results up to this size are worth a copy here: logits of a few tokens. Larger ones take longer to
/// copy than to wait for.
const MOST: usize = 4 << 20;

/// A buffer that devices can reach, as large as the largest result so far.
pub(super) struct Staging {
    buffer: NonNull<sys::ggml_backend_buffer>,
}

// SAFETY: the buffer is used through the scheduler that owns it, by one thread at a time.
unsafe impl Send for Staging {}

impl Staging {
    /// Room for `n` elements of `T`, in `kept` or in a new buffer that takes its place. `None` if no
    /// device among `backends` has a use for it, if they are too many, or if there is no memory.
    pub(super) fn room<'a, T: Element>(
        kept: &'a mut Option<Self>,
        backends: &[Backend],
        n: usize,
    ) -> Option<&'a mut [T]> {
        let n_bytes = n
            .checked_mul(size_of::<T>())
            .filter(|&bytes| bytes <= MOST)?;
        if kept
            .as_ref()
            .is_none_or(|staging| staging.n_bytes() < n_bytes)
        {
            *kept = None;
            *kept = Self::new(backends, n_bytes);
        }
        let staging = kept.as_mut()?;
        // SAFETY: the buffer is alive, in this machine's memory, aligned for any type and of at least
        // that size; every pattern of bits is an element. It is borrowed as long as the slice is.
        unsafe {
            let base = sys::ggml_backend_buffer_get_base(staging.buffer.as_ptr());
            Some(std::slice::from_raw_parts_mut(base.cast::<T>(), n))
        }
    }

    fn new(backends: &[Backend], n_bytes: usize) -> Option<Self> {
        let ty = backends
            .iter()
            .find_map(|b| b.device().host_buffer_type())?;
        // SAFETY: the buffer type is alive; the answer is a buffer or null. It is cleared, since it is
        // read as elements later.
        let buffer = unsafe {
            let buffer = NonNull::new(sys::ggml_backend_buft_alloc_buffer(ty, n_bytes))?;
            sys::ggml_backend_buffer_clear(buffer.as_ptr(), 0);
            buffer
        };
        Some(Self { buffer })
    }

    fn n_bytes(&self) -> usize {
        // SAFETY: the buffer is alive.
        unsafe { sys::ggml_backend_buffer_get_size(self.buffer.as_ptr()) }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // SAFETY: made by ggml, freed once, here.
        unsafe { sys::ggml_backend_buffer_free(self.buffer.as_ptr()) }
    }
}
