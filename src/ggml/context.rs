//! Contexts, which hold tensors' descriptions, and tensors themselves.

use super::{Buffer, Device, Element, Type};
use crate::{Error, ErrorKind, Result};
use ggml_sys as sys;
use std::{
    cell::Cell,
    ffi::{CStr, CString},
    marker::PhantomData,
    ptr::NonNull,
    sync::{Arc, Mutex, PoisonError},
};

/// An arena of tensor descriptions: shapes, names, operations. Never the elements themselves.
pub struct Context {
    arena: Arc<Arena>,
    /// Adding tensors changes the arena without a lock, so a context stays with one thread at a
    /// time (`Send` but not `Sync`).
    _one_thread: PhantomData<Cell<()>>,
}

/// A handle to a tensor: its description and, once placed, its elements. Cheap to clone.
#[derive(Clone)]
pub struct Tensor {
    ptr: NonNull<sys::ggml_tensor>,
    arena: Arc<Arena>,
}

pub(super) struct Arena {
    ptr: NonNull<sys::ggml_context>,
    keep: Mutex<Keep>,
}

/// What must outlive the arena because its tensors point at it.
#[derive(Default)]
struct Keep {
    arenas: Vec<Arc<Arena>>,
    buffers: Vec<Buffer>,
}

// SAFETY: the arena is changed only through `Context`, which is not `Sync`; tensors only read.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}
// SAFETY: a tensor's description is immutable once its context has made it, except through
// `Context` and `Scheduler`, which are not shared between threads.
unsafe impl Send for Tensor {}
// SAFETY: as above.
unsafe impl Sync for Tensor {}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the pointer came from ggml_init and is freed exactly once, here.
        unsafe { sys::ggml_free(self.ptr.as_ptr()) }
    }
}

impl Context {
    /// An empty context with room for `tensors` tensors and, if `graph_nodes` is not 0, for one
    /// graph of that many nodes.
    pub fn new(tensors: usize, graph_nodes: usize) -> Result<Self> {
        // SAFETY: both calls only compute sizes; ggml_init allocates that much itself.
        let ptr = unsafe {
            let graph = if graph_nodes == 0 {
                0
            } else {
                sys::ggml_graph_overhead_custom(graph_nodes, false)
            };
            sys::ggml_init(sys::ggml_init_params {
                mem_size: tensors * sys::ggml_tensor_overhead() + graph,
                mem_buffer: std::ptr::null_mut(),
                no_alloc: true,
            })
        };
        let ptr = NonNull::new(ptr).ok_or_else(|| {
            Error::new(
                ErrorKind::OutOfMemory,
                "cannot allocate memory for tensor descriptions",
            )
        })?;
        Ok(Self {
            arena: Arc::new(Arena {
                ptr,
                keep: Mutex::default(),
            }),
            _one_thread: PhantomData,
        })
    }

    /// A new tensor of type `ty` and dimensions `dims` (one to four, ggml order), not yet placed.
    pub fn tensor(&self, ty: Type, dims: &[usize]) -> Tensor {
        assert!(
            (1..=4).contains(&dims.len()),
            "a tensor has one to four dimensions"
        );
        let ne = dims.iter().map(|&n| n as i64).collect::<Vec<_>>();
        // SAFETY: `ne` has as many entries as the call is told.
        self.wrap(unsafe {
            sys::ggml_new_tensor(self.as_ptr(), ty.0, ne.len() as i32, ne.as_ptr())
        })
    }

    /// A new tensor that is an input of a graph: the scheduler places it before everything else
    /// and never reuses its memory within the graph.
    pub fn input(&self, name: &str, ty: Type, dims: &[usize]) -> Tensor {
        let tensor = self.tensor(ty, dims);
        self.name(&tensor, name);
        // SAFETY: the tensor is of this context and alive.
        unsafe { sys::ggml_set_input(tensor.as_ptr()) }
        tensor
    }

    /// Marks `tensor` as a result: its elements stay readable after the graph has run.
    pub fn output(&self, tensor: &Tensor) {
        // SAFETY: the tensor is alive; the flag is only read by the scheduler, later.
        unsafe { sys::ggml_set_output(tensor.as_ptr()) }
    }

    /// Names `tensor` (at most 63 bytes are kept), for observers and error texts.
    pub fn name(&self, tensor: &Tensor, name: &str) {
        if let Ok(name) = CString::new(name) {
            // SAFETY: both pointers are alive; ggml copies the text, cut to its field.
            unsafe { sys::ggml_set_name(tensor.as_ptr(), name.as_ptr()) };
        }
    }

    /// Wraps a tensor that a call on this context has just made.
    pub(super) fn wrap(&self, ptr: *mut sys::ggml_tensor) -> Tensor {
        let ptr = NonNull::new(ptr).expect("contexts are created with room for their tensors");
        Tensor {
            ptr,
            arena: self.arena.clone(),
        }
    }

    /// Makes this context keep alive what `tensor` lives in.
    pub(super) fn refer_to(&self, tensor: &Tensor) {
        if Arc::ptr_eq(&self.arena, &tensor.arena) {
            return;
        }
        let mut keep = self
            .arena
            .keep
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !keep.arenas.iter().any(|a| Arc::ptr_eq(a, &tensor.arena)) {
            keep.arenas.push(tensor.arena.clone());
        }
    }

    /// Makes all tensors belong to `buffer`, which has no memory for them.
    pub(super) fn attach(&self, buffer: &Buffer) {
        // SAFETY: the context is alive and used by this thread alone; its tensors are reached one
        // by one until there is none.
        unsafe {
            let mut tensor = sys::ggml_get_first_tensor(self.as_ptr());
            while let Some(at) = tensor.as_mut() {
                at.buffer = buffer.as_ptr();
                tensor = sys::ggml_get_next_tensor(self.as_ptr(), tensor);
            }
        }
    }

    pub(super) fn keep_buffer(&self, buffer: &Buffer) {
        let mut keep = self
            .arena
            .keep
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !keep.buffers.iter().any(|b| b.as_ptr() == buffer.as_ptr()) {
            keep.buffers.push(buffer.clone());
        }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::ggml_context {
        self.arena.ptr.as_ptr()
    }

    pub(super) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }
}

impl Tensor {
    /// Number of elements along each dimension, in ggml order; unused dimensions are 1.
    pub fn dims(&self) -> [usize; 4] {
        self.raw().ne.map(|n| n as usize)
    }

    /// Bytes from one element to the next along each dimension.
    pub fn strides(&self) -> [usize; 4] {
        self.raw().nb
    }

    /// Number of elements.
    pub fn n_elements(&self) -> usize {
        self.dims().iter().product()
    }

    /// Bytes that the elements span.
    pub fn n_bytes(&self) -> usize {
        // SAFETY: the tensor is alive.
        unsafe { sys::ggml_nbytes(self.as_ptr()) }
    }

    /// Element type.
    pub fn ty(&self) -> Type {
        Type(self.raw().type_)
    }

    /// The name, empty if none was given.
    pub fn name(&self) -> String {
        // SAFETY: the field is NUL-terminated by ggml.
        unsafe { CStr::from_ptr(self.raw().name.as_ptr()) }
            .to_string_lossy()
            .into_owned()
    }

    /// Fills `n_bytes` bytes from byte `offset` on with zeros. Only for tensors in a [`Buffer`]
    /// allocated by a backend.
    pub fn clear(&mut self, offset: usize, n_bytes: usize) -> Result<()> {
        let device = self.check_bytes(offset, n_bytes)?;
        // SAFETY: the tensor is placed in memory that the arena keeps alive, and the range was
        // checked.
        unsafe { sys::ggml_backend_tensor_memset(self.as_ptr(), 0, offset, n_bytes) };
        device.check()
    }

    /// Copies the stored bytes from byte `offset` on into `out`, whatever the type. Only for tensors
    /// in a [`Buffer`] allocated by a backend.
    pub fn read_bytes(&self, offset: usize, out: &mut [u8]) -> Result<()> {
        let device = self.check_bytes(offset, out.len())?;
        // SAFETY: the tensor is placed in memory that the arena keeps alive, and the range was
        // checked.
        unsafe {
            sys::ggml_backend_tensor_get(self.as_ptr(), out.as_mut_ptr().cast(), offset, out.len());
        }
        device.check()
    }

    /// Puts `data`, as [`read_bytes`](Self::read_bytes) gave it, back at byte `offset`. Any bytes
    /// are elements of any type. Only for tensors in a [`Buffer`] allocated by a backend.
    pub fn write_bytes(&mut self, offset: usize, data: &[u8]) -> Result<()> {
        let device = self.check_bytes(offset, data.len())?;
        // SAFETY: as above.
        unsafe {
            sys::ggml_backend_tensor_set(self.as_ptr(), data.as_ptr().cast(), offset, data.len());
        }
        device.check()
    }

    /// Copies `data` into the tensor. Only for tensors in a [`Buffer`] allocated by a backend.
    pub fn write<T: Element>(&mut self, data: &[T]) -> Result<()> {
        let Some(device) = self.home() else {
            return Err(Error::new(
                ErrorKind::Internal,
                format!(
                    "tensor {} is not in memory that can be written",
                    self.name()
                ),
            ));
        };
        self.set(data)?;
        device.check()
    }

    /// Copies `data` into the tensor, which must be placed, of `T`'s type and of that length.
    pub(super) fn set<T: Element>(&self, data: &[T]) -> Result<()> {
        self.check::<T>(data.len())?;
        // SAFETY: the tensor is placed and has exactly this many elements of this type.
        unsafe {
            sys::ggml_backend_tensor_set(self.as_ptr(), data.as_ptr().cast(), 0, size_of_val(data));
        }
        Ok(())
    }

    /// Copies `data` over the elements from `start` on. The tensor must be placed and of `T`'s type.
    pub(super) fn set_at<T: Element>(&self, start: usize, data: &[T]) -> Result<()> {
        self.check_range::<T>(start, data.len())?;
        // SAFETY: the tensor is placed and the range lies inside it.
        unsafe {
            sys::ggml_backend_tensor_set(
                self.as_ptr(),
                data.as_ptr().cast(),
                start * size_of::<T>(),
                size_of_val(data),
            );
        }
        Ok(())
    }

    /// Copies all elements into `out` behind what `backend`, which has to be the one whose memory
    /// the tensor is in, was given to compute. It has to be waited for before `out` goes.
    pub(super) fn get_queued<T: Element>(
        &self,
        backend: *mut sys::ggml_backend,
        out: &mut [T],
    ) -> Result<()> {
        self.check::<T>(out.len())?;
        // SAFETY: the tensor is placed and has exactly this many elements of this type; `out` is
        // alive until the backend was waited for, as the caller promises.
        unsafe {
            sys::ggml_backend_tensor_get_async(
                backend,
                self.as_ptr(),
                out.as_mut_ptr().cast(),
                0,
                size_of_val(out),
            );
        }
        Ok(())
    }

    /// Copies the elements `start..start + out.len()` (in memory order) into `out`.
    pub(super) fn get<T: Element>(&self, start: usize, out: &mut [T]) -> Result<()> {
        self.check_range::<T>(start, out.len())?;
        // SAFETY: the tensor is placed and the range lies inside it.
        unsafe {
            sys::ggml_backend_tensor_get(
                self.as_ptr(),
                out.as_mut_ptr().cast(),
                start * size_of::<T>(),
                size_of_val(out),
            );
        }
        Ok(())
    }

    /// The device that the tensor is on. Refuses bytes beyond the tensor, and tensors in memory
    /// that is not its own.
    fn check_bytes(&self, offset: usize, n_bytes: usize) -> Result<Device> {
        let end = offset.checked_add(n_bytes);
        let inside = end.is_some_and(|end| end <= self.n_bytes());
        self.home().filter(|_| inside).ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                format!(
                    "tensor {} has no {n_bytes} bytes of its own at {offset}",
                    self.name()
                ),
            )
        })
    }

    fn check<T: Element>(&self, len: usize) -> Result<()> {
        if self.ty() != T::TYPE || self.raw().buffer.is_null() || len != self.n_elements() {
            return Err(self.mismatch());
        }
        Ok(())
    }

    fn check_range<T: Element>(&self, start: usize, len: usize) -> Result<()> {
        let end = start.checked_add(len);
        if self.ty() != T::TYPE
            || self.raw().buffer.is_null() && self.raw().view_src.is_null()
            || end.is_none_or(|end| end > self.n_elements())
        {
            return Err(self.mismatch());
        }
        Ok(())
    }

    fn mismatch(&self) -> Error {
        Error::new(
            ErrorKind::Internal,
            format!(
                "tensor {} accessed with the wrong type, size or time",
                self.name()
            ),
        )
    }

    /// The device whose memory, kept by the arena, the elements are in; `None` if they are borrowed
    /// or lent by a scheduler.
    fn home(&self) -> Option<Device> {
        let keep = self
            .arena
            .keep
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let buffer = self.raw().buffer;
        let found = keep.buffers.iter().find(|b| b.as_ptr() == buffer);
        found.and_then(|b| b.device().cloned())
    }

    fn raw(&self) -> &sys::ggml_tensor {
        // SAFETY: the arena that holds the description is kept alive by `self.arena`.
        unsafe { self.ptr.as_ref() }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::ggml_tensor {
        self.ptr.as_ptr()
    }

    pub(super) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }
}
