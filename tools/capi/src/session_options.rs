//! How a session is set up, and which devices it computes on.

use crate::{
    arguments::{NUL_TERMINATED, list, optional_text, pixtral_str, texts},
    boundary::boundary,
    event::{Teller, pixtral_event_callback},
    status::{invalid, pixtral_status},
    versioned::{self, Versioned},
};
use pixtral::{
    Result,
    runtime::{
        KvType, PlacementOptions,
        placement::{DeviceChoice, GpuLayers},
    },
    session::SessionOptions,
};
use std::{
    ffi::{c_char, c_void},
    path::PathBuf,
    ptr,
};

/// Storage of keys and values.
#[repr(u32)]
#[derive(Clone, Copy)]
pub enum pixtral_kv_type {
    /// 16-bit floats, the default.
    F16 = 0,
    /// 8-bit integers: about half the memory of f16.
    Q8_0 = 1,
    /// 32-bit floats, for comparing with a reference.
    F32 = 2,
}

/// How a session is set up. Fill it with pixtral_session_options_init, then change what you want. Texts
/// and lists are read during the call only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pixtral_session_options {
    /// sizeof(pixtral_session_options).
    pub struct_size: usize,
    /// Longest conversation in tokens; 0 for 8192 or, if that is less, what the model allows.
    pub n_ctx: usize,
    /// Most tokens computed as one batch; 0 for 512. Answers do not depend on it.
    pub n_ubatch: usize,
    /// Threads to compute with; 0 for what suits the model.
    pub n_threads: usize,
    /// A pixtral_kv_type.
    pub kv_type: u32,
    /// How many decoder layers leave the CPU: -1, the default, for as many as fit on the devices, after the
    /// vision tower and the output.
    pub gpu_layers: i32,
    /// Most bytes of pictures' embeddings kept in memory.
    pub image_cache_bytes: u64,
    /// Folder that keeps pictures' embeddings for later runs, shared by any number of processes; NULL, the
    /// default, for none. UTF-8.
    pub image_cache_dir: *const c_char,
    /// Bytes of image_cache_dir, or PIXTRAL_NUL_TERMINATED, the default.
    pub image_cache_dir_len: usize,
    /// Most bytes in that folder.
    pub image_cache_dir_bytes: u64,
    /// Devices beside the CPU, the preferred one first: names as pixtral_devices_json has them,
    /// "rpc:HOST:PORT" for a worker on another machine, "cpu" for none; "NAME=SIZE" limits the memory, as
    /// "cuda0=6GiB". NULL, the default, takes all graphics processors of this machine.
    pub devices: *const pixtral_str,
    /// Their number; 0 by default.
    pub n_devices: usize,
    /// In which proportion the devices share the layers, a number for each; NULL, the default, fills one
    /// device after the other.
    pub tensor_split: *const f64,
    /// Their number; 0 by default.
    pub n_tensor_split: usize,
    /// Device for the vision tower, which may be "cpu"; NULL, the default, for the first with room for it
    /// that is not on another machine. NUL-terminated.
    pub vision_device: *const c_char,
    /// Is told of PLACING and NOTE while a session is made, and may stop it; NULL for nobody.
    pub callback: pixtral_event_callback,
    /// What the callback is given.
    pub user_data: *mut c_void,
}

// SAFETY: repr(C), the size first, integers and pointers (a function's may be NULL) only.
unsafe impl Versioned for pixtral_session_options {
    fn defaults() -> Self {
        let options = SessionOptions::default();
        Self {
            struct_size: size_of::<Self>(),
            n_ctx: 0,
            n_ubatch: 0,
            n_threads: 0,
            kv_type: pixtral_kv_type::F16 as u32,
            gpu_layers: -1,
            image_cache_bytes: options.image_cache_bytes as u64,
            image_cache_dir: ptr::null(),
            image_cache_dir_len: NUL_TERMINATED,
            image_cache_dir_bytes: options.image_cache_dir_bytes,
            devices: ptr::null(),
            n_devices: 0,
            tensor_split: ptr::null(),
            n_tensor_split: 0,
            vision_device: ptr::null(),
            callback: None,
            user_data: ptr::null_mut(),
        }
    }
    const NAME: &'static str = "pixtral_session_options";
    const FIRST_SIZE: usize = size_of::<Self>();
}

impl pixtral_session_options {
    /// Whom the options name to be told.
    pub(crate) fn teller(&self) -> Teller {
        Teller::new(self.callback, self.user_data)
    }

    /// The library's options.
    ///
    /// # Safety
    /// Texts and lists are as the struct says.
    pub(crate) unsafe fn to_library(self) -> Result<SessionOptions> {
        let given = |n: usize| Some(n).filter(|&n| n != 0);
        let defaults = SessionOptions::default();
        // SAFETY: as the caller promises, for each.
        let (folder, placement) = unsafe {
            (
                optional_text(
                    self.image_cache_dir,
                    self.image_cache_dir_len,
                    "image_cache_dir",
                )?,
                self.placement()?,
            )
        };
        Ok(SessionOptions {
            n_ctx: given(self.n_ctx),
            n_ubatch: given(self.n_ubatch).unwrap_or(defaults.n_ubatch),
            n_threads: given(self.n_threads),
            kv_type: match self.kv_type {
                0 => KvType::F16,
                1 => KvType::Q8_0,
                2 => KvType::F32,
                other => {
                    return Err(invalid(format!(
                        "kv_type is {other}, expected one of the values of pixtral_kv_type"
                    )));
                }
            },
            image_cache_bytes: usize::try_from(self.image_cache_bytes).unwrap_or(usize::MAX),
            image_cache_dir: folder.map(PathBuf::from),
            image_cache_dir_bytes: self.image_cache_dir_bytes,
            placement,
        })
    }

    /// Which devices are to take what.
    ///
    /// # Safety
    /// Texts and lists are as the struct says.
    unsafe fn placement(&self) -> Result<PlacementOptions> {
        // SAFETY: as the caller promises, for each.
        let (devices, split, vision) = unsafe {
            (
                texts(self.devices, self.n_devices, "devices")?,
                list(self.tensor_split, self.n_tensor_split, "tensor_split")?,
                optional_text(self.vision_device, NUL_TERMINATED, "vision_device")?,
            )
        };
        let devices: Vec<DeviceChoice> =
            devices.into_iter().map(str::parse).collect::<Result<_>>()?;
        Ok(PlacementOptions {
            devices: Some(devices).filter(|devices| !devices.is_empty()),
            gpu_layers: match usize::try_from(self.gpu_layers) {
                Ok(n) => GpuLayers::Count(n),
                Err(_) if self.gpu_layers == -1 => GpuLayers::Auto,
                Err(_) => {
                    return Err(invalid(format!(
                        "gpu_layers is {}, expected a number of layers, or -1 for as many as fit",
                        self.gpu_layers
                    )));
                }
            },
            tensor_split: split.to_vec(),
            vision_device: vision.map(str::to_lowercase),
        })
    }
}

/// Fills `options`, of which `size` bytes are there (pass sizeof *options), with the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_options_init(
    options: *mut pixtral_session_options,
    size: usize,
) -> pixtral_status {
    // SAFETY: as the caller promises.
    boundary(|| unsafe { versioned::init(options, size) })
}
