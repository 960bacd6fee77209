//! Devices: what can hold tensors and compute graphs. Enumerates those that ggml knows on this
//! machine; those of other machines come from [`connect`](Device::connect). It says what there is
//! and how much memory it has; what to put there is decided elsewhere.

use super::{cpu_variant, loaded_backends, log, remote::Worker};
use crate::{Error, ErrorKind, Result};
use ggml_sys as sys;
use std::{
    ffi::{CStr, c_char},
    fmt,
    ptr::NonNull,
    sync::Arc,
};

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// The processor and the machine's memory.
    Cpu,
    /// A graphics processor with memory of its own.
    Gpu,
    /// A graphics processor that shares the machine's memory.
    IntegratedGpu,
    /// Something that computes from the machine's memory, such as a library for matrices.
    Accelerator,
    /// A device of another machine.
    Remote,
}

impl DeviceKind {
    /// Whether it is a graphics processor of this machine.
    pub fn is_graphics_processor(self) -> bool {
        matches!(self, DeviceKind::Gpu | DeviceKind::IntegratedGpu)
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DeviceKind::Cpu => "cpu",
            DeviceKind::Gpu => "gpu",
            DeviceKind::IntegratedGpu => "integrated gpu",
            DeviceKind::Accelerator => "accelerator",
            DeviceKind::Remote => "remote",
        })
    }
}

/// Bytes of a device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// What can be allocated now, as far as the device knows.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

/// Something that computes. Cheap to clone.
#[derive(Clone)]
pub struct Device {
    ptr: NonNull<sys::ggml_backend_device>,
    name: Arc<str>,
    description: Arc<str>,
    kind: DeviceKind,
    /// The machine it is a part of, if that is another one.
    worker: Option<Arc<Worker>>,
}

// SAFETY: ggml's devices live as long as the process and are made to be used from any thread; the
// worker is shared between threads too.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Device {
    /// The processor.
    pub fn cpu() -> Result<Self> {
        cpu_variant()?;
        // SAFETY: the type is one of ggml's; the answer is a device or null.
        let ptr = unsafe { sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU) };
        let ptr = NonNull::new(ptr).ok_or_else(|| {
            Error::new(ErrorKind::Backend, log::explain("there is no CPU device"))
        })?;
        Ok(Self::registered(ptr))
    }

    /// All devices of this machine, the processor and those of [`loaded_backends`] among them, under
    /// the names that ggml gives them in lower case: `cpu`, `cuda0`, ….
    pub fn local() -> Result<Vec<Self>> {
        cpu_variant()?;
        loaded_backends();
        // SAFETY: no arguments; indexes below the count have a device.
        let n = unsafe { sys::ggml_backend_dev_count() };
        let device = |i| {
            // SAFETY: the index is below the count.
            NonNull::new(unsafe { sys::ggml_backend_dev_get(i) })
        };
        Ok((0..n).filter_map(device).map(Self::registered).collect())
    }

    /// The devices of the worker that listens at `address` (`HOST:PORT`): `rpc:HOST:PORT`, and
    /// `rpc:HOST:PORT/1`, … if it has more than one. The connection is kept as long as a device, or
    /// a tensor on it, is.
    ///
    /// Errors with `DeviceLost` if no worker answers there within seconds.
    pub fn connect(address: &str) -> Result<Vec<Self>> {
        let worker = Worker::connect(address)?;
        Ok((0..worker.n_devices())
            .map(|i| Self {
                ptr: worker.device(i),
                name: match i {
                    0 => format!("rpc:{address}").into(),
                    _ => format!("rpc:{address}/{i}").into(),
                },
                description: format!("worker at {address}").into(),
                kind: DeviceKind::Remote,
                worker: Some(worker.clone()),
            })
            .collect())
    }

    fn registered(ptr: NonNull<sys::ggml_backend_device>) -> Self {
        // SAFETY: registered devices live as long as the process, and so do their texts.
        let (name, description, kind) = unsafe {
            (
                text(sys::ggml_backend_dev_name(ptr.as_ptr())),
                text(sys::ggml_backend_dev_description(ptr.as_ptr())),
                sys::ggml_backend_dev_type(ptr.as_ptr()),
            )
        };
        Self {
            ptr,
            name: name.to_lowercase().into(),
            description: description.trim().into(),
            kind: match kind {
                sys::GGML_BACKEND_DEVICE_TYPE_CPU => DeviceKind::Cpu,
                sys::GGML_BACKEND_DEVICE_TYPE_GPU => DeviceKind::Gpu,
                sys::GGML_BACKEND_DEVICE_TYPE_IGPU => DeviceKind::IntegratedGpu,
                _ => DeviceKind::Accelerator,
            },
            worker: None,
        }
    }

    /// The name that users choose it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is, for people.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What sort of device it is.
    pub fn kind(&self) -> DeviceKind {
        self.kind
    }

    /// Its memory now. Of a worker, what it still gives.
    pub fn memory(&self) -> Result<Memory> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: the device is alive and both places can be written.
        unsafe { sys::ggml_backend_dev_memory(self.ptr.as_ptr(), &mut free, &mut total) };
        self.check()?;
        let (free, total) = (free as u64, total as u64);
        Ok(Memory {
            free: match self.kind {
                // ggml calls all of it free.
                DeviceKind::Cpu => available_memory().unwrap_or(free).min(total),
                _ => free,
            },
            total,
        })
    }

    /// An error of kind `DeviceLost` if the device belonged to a worker that is gone. What was
    /// read from such a device is worthless.
    pub fn check(&self) -> Result<()> {
        self.worker.as_ref().map_or(Ok(()), |worker| worker.check())
    }

    /// Whether the device belonged to a worker that is gone.
    pub fn is_lost(&self) -> bool {
        self.check().is_err()
    }

    /// Whether both are the same device, reached in the same way.
    pub fn is(&self, other: &Device) -> bool {
        self.ptr == other.ptr
    }

    /// The kind of buffers that the device computes from.
    pub(super) fn buffer_type(&self) -> sys::ggml_backend_buffer_type_t {
        // SAFETY: the device is alive; its buffer type lives as long as the process.
        unsafe { sys::ggml_backend_dev_buffer_type(self.ptr.as_ptr()) }
    }

    /// The kind of buffers in this machine's memory that the device copies to and from the fastest,
    /// if there is a special one.
    pub(super) fn host_buffer_type(&self) -> Option<sys::ggml_backend_buffer_type_t> {
        // SAFETY: the device is alive; its buffer type lives as long as the process.
        let ty = unsafe { sys::ggml_backend_dev_host_buffer_type(self.ptr.as_ptr()) };
        (!ty.is_null()).then_some(ty)
    }

    pub(super) fn as_ptr(&self) -> *mut sys::ggml_backend_device {
        self.ptr.as_ptr()
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Bytes of the machine's memory that can be had without pushing other programs out, where Linux
/// tells.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// # Safety
/// `pointer` is null or a NUL-terminated text that lives as long as the process.
unsafe fn text(pointer: *const c_char) -> String {
    match pointer.is_null() {
        true => String::new(),
        // SAFETY: as the caller promises.
        false => unsafe { CStr::from_ptr(pointer) }
            .to_string_lossy()
            .into_owned(),
    }
}
