//! Backends: devices made ready to compute graphs, the CPU with its persistent thread pool.

use super::{Device, log};
use crate::{Error, ErrorKind, Result};
use ggml_sys as sys;
use std::{
    ffi::c_void,
    ops::ControlFlow,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Lets any thread stop a running graph. Clones share the flag.
#[derive(Clone, Default, Debug)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// Asks the work to stop as soon as it can.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Makes the flag ready for new work.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether [`cancel`](Self::cancel) was called since the last reset.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error of kind `Cancelled` if the flag is set.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(cancelled());
        }
        Ok(())
    }

    /// `Break` if the flag is set: what progress callbacks answer.
    pub fn flow(&self) -> ControlFlow<()> {
        match self.is_cancelled() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// The error of work that a cancel flag has ended.
pub(super) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "stopped before the work was done")
}

/// Threads that wait for graphs to compute, made once.
struct ThreadPool {
    ptr: NonNull<sys::ggml_threadpool>,
}

impl ThreadPool {
    /// Threads that, when a graph is done, spin for a while to be ready for the next, or sleep at once.
    fn new(n_threads: usize, spin: bool) -> Result<Self> {
        // SAFETY: the parameters are plain data; ggml_threadpool_new copies what it needs.
        let ptr = unsafe {
            let mut params = sys::ggml_threadpool_params_default(n_threads as i32);
            if !spin {
                params.poll = 0;
            }
            sys::ggml_threadpool_new(&mut params)
        };
        let ptr = NonNull::new(ptr)
            .ok_or_else(|| Error::new(ErrorKind::Backend, log::explain("cannot start threads")))?;
        Ok(Self { ptr })
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        // SAFETY: made by ggml_threadpool_new, freed once; its backend is gone by then.
        unsafe { sys::ggml_threadpool_free(self.ptr.as_ptr()) }
    }
}

/// A device ready to compute, owned by one session.
pub struct Backend {
    ptr: NonNull<sys::ggml_backend>,
    device: Device,
    /// The CPU's. Freed after the backend, which is dropped by hand first.
    _threads: Option<ThreadPool>,
    cancel: CancelFlag,
}

// SAFETY: a backend is used by one thread at a time, through `&mut` of the scheduler that owns it;
// nothing in it is tied to the thread that made it.
unsafe impl Send for Backend {}

/// Most threads that ggml's pool can hold.
const MAX_THREADS: usize = sys::GGML_MAX_N_THREADS as usize;

impl Backend {
    /// The CPU with `n_threads` threads, which wait in a pool until the backend is dropped. Work
    /// stops when `cancel` is set.
    pub fn cpu(n_threads: usize, cancel: CancelFlag) -> Result<Self> {
        Self::cpu_with(n_threads, true, cancel)
    }

    /// The same with threads that sleep between graphs, so that others can have the cores: waking them
    /// takes longer.
    pub fn cpu_sleeping(n_threads: usize, cancel: CancelFlag) -> Result<Self> {
        Self::cpu_with(n_threads, false, cancel)
    }

    fn cpu_with(n_threads: usize, spin: bool, cancel: CancelFlag) -> Result<Self> {
        if n_threads == 0 || n_threads > MAX_THREADS {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("{n_threads} threads asked for, expected 1 to {MAX_THREADS}"),
            ));
        }
        let device = Device::cpu()?;
        let threads = ThreadPool::new(n_threads, spin)?;
        // SAFETY: no arguments; returns null on failure.
        let ptr = NonNull::new(unsafe { sys::ggml_backend_cpu_init() }).ok_or_else(|| {
            Error::new(
                ErrorKind::Backend,
                log::explain("cannot start the CPU backend"),
            )
        })?;
        // SAFETY: the backend is a CPU backend; pool and flag outlive it (see the fields' order
        // of release in `drop` and below).
        unsafe {
            sys::ggml_backend_cpu_set_n_threads(ptr.as_ptr(), n_threads as i32);
            sys::ggml_backend_cpu_set_threadpool(ptr.as_ptr(), threads.ptr.as_ptr());
            sys::ggml_backend_cpu_set_abort_callback(
                ptr.as_ptr(),
                Some(is_cancelled),
                Arc::as_ptr(&cancel.0).cast_mut().cast(),
            );
        }
        Ok(Self {
            ptr,
            device,
            _threads: Some(threads),
            cancel,
        })
    }

    /// A `device` other than the CPU. Work on it goes on to its end once it has begun: `cancel` is
    /// looked at before and after.
    pub fn on(device: &Device, cancel: CancelFlag) -> Result<Self> {
        // SAFETY: the device is alive; no parameters are passed.
        let ptr = unsafe { sys::ggml_backend_dev_init(device.as_ptr(), std::ptr::null()) };
        let ptr = NonNull::new(ptr).ok_or_else(|| {
            Error::new(
                ErrorKind::Backend,
                log::explain(&format!("{}: the device cannot be used", device.name())),
            )
        })?;
        let backend = Self {
            ptr,
            device: device.clone(),
            _threads: None,
            cancel,
        };
        device.check()?;
        Ok(backend)
    }

    /// The device that computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The flag given at creation.
    pub fn cancel_flag(&self) -> &CancelFlag {
        &self.cancel
    }

    pub(super) fn as_ptr(&self) -> *mut sys::ggml_backend {
        self.ptr.as_ptr()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // SAFETY: made by ggml, freed once; pool, flag and device are dropped after.
        unsafe { sys::ggml_backend_free(self.ptr.as_ptr()) }
    }
}

unsafe extern "C" fn is_cancelled(flag: *mut c_void) -> bool {
    // SAFETY: `flag` is the `AtomicBool` that the backend holds a share of.
    unsafe { (*flag.cast::<AtomicBool>()).load(Ordering::Relaxed) }
}
