//! Model files: opening them, and what they say about themselves.

use crate::{
    arguments::{borrow, free, give, handle_place, place, text},
    boundary::boundary,
    constraint::Constraints,
    event::{Teller, pixtral_event_callback, pixtral_event_kind},
    status::{invalid, pixtral_status},
    versioned::{self, Versioned},
};
use pixtral::{
    Error, ErrorKind, Result,
    chat::ChatTemplate,
    gguf::{Array, File, Value},
    runtime::{LoadMode, LoadOptions, Model},
};
use serde_json::json;
use std::{
    ffi::{c_char, c_void},
    ptr,
    sync::Arc,
};

/// An opened model. Any number of threads and sessions may use one at the same time; what was made
/// from it keeps what it needs of it alive.
pub struct pixtral_model {
    pub(crate) model: Arc<Model>,
    pub(crate) template: ChatTemplate,
    pub(crate) constraints: Arc<Constraints>,
}

/// Where weights are read from while computing.
#[repr(u32)]
#[derive(Clone, Copy)]
pub enum pixtral_load_mode {
    /// What is best here, by what is known of the file and the memory.
    AUTO = 0,
    /// The mapped file, the default: ready at once, shared with other processes, and the system can take
    /// the memory back.
    MMAP = 1,
    /// A copy in memory of the process's own, in huge pages where the system has them: takes as much memory
    /// as the file is large, and reading it first.
    COPY = 2,
}

/// How a model is opened. Fill it with pixtral_model_options_init, then change what you want.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pixtral_model_options {
    /// sizeof(pixtral_model_options).
    pub struct_size: usize,
    /// 1 reads the whole file and compares it with its checksums; 0, the default, does not.
    pub verify: u32,
    /// A pixtral_load_mode.
    pub load_mode: u32,
    /// Is told of VERIFYING and LOADING, and may stop them; NULL for nobody.
    pub callback: pixtral_event_callback,
    /// What the callback is given.
    pub user_data: *mut c_void,
}

// SAFETY: repr(C), the size first, integers and pointers (a function's may be NULL) only.
unsafe impl Versioned for pixtral_model_options {
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            verify: 0,
            load_mode: pixtral_load_mode::MMAP as u32,
            callback: None,
            user_data: ptr::null_mut(),
        }
    }
    const NAME: &'static str = "pixtral_model_options";
    const FIRST_SIZE: usize = size_of::<Self>();
}

impl pixtral_model_options {
    /// The library's options.
    fn load(&self) -> Result<LoadOptions> {
        let mode = match self.load_mode {
            0 => LoadMode::Auto,
            1 => LoadMode::Mmap,
            2 => LoadMode::Copy,
            other => {
                return Err(invalid(format!(
                    "load_mode is {other}, expected one of the values of pixtral_load_mode"
                )));
            }
        };
        Ok(LoadOptions { mode })
    }
}

/// What a model is. Set `struct_size` before pixtral_model_get_info.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pixtral_model_info {
    /// sizeof(pixtral_model_info).
    pub struct_size: usize,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Number of weights.
    pub n_weights: u64,
    /// Bytes of weights that computing one token reads.
    pub bytes_per_token: u64,
    /// Longest context that the model was made for, in tokens.
    pub context_length: u32,
    /// Tokens of the vocabulary.
    pub vocab_size: u32,
    /// Values of an embedding.
    pub embedding_length: u32,
    /// Layers of the decoder.
    pub n_layers: u32,
    /// Layers of the vision tower.
    pub n_vision_layers: u32,
    /// Longest side of a picture in pixels, after which it is scaled down.
    pub image_size: u32,
    /// Side of a patch in pixels.
    pub patch_size: u32,
    /// Threads that a session uses unless told otherwise.
    pub default_threads: u32,
    /// PIXTRAL_LOAD_MODE_MMAP or PIXTRAL_LOAD_MODE_COPY, whichever it came to.
    pub load_mode: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), the size first, integers only.
unsafe impl Versioned for pixtral_model_info {
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            file_bytes: 0,
            n_weights: 0,
            bytes_per_token: 0,
            context_length: 0,
            vocab_size: 0,
            embedding_length: 0,
            n_layers: 0,
            n_vision_layers: 0,
            image_size: 0,
            patch_size: 0,
            default_threads: 0,
            load_mode: pixtral_load_mode::MMAP as u32,
            reserved: 0,
        }
    }
    const NAME: &'static str = "pixtral_model_info";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// Fills `options`, of which `size` bytes are there (pass sizeof *options), with the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_model_options_init(
    options: *mut pixtral_model_options,
    size: usize,
) -> pixtral_status {
    // SAFETY: as the caller promises.
    boundary(|| unsafe { versioned::init(options, size) })
}

/// Opens the GGUF file `path`, as pixtral_quantize writes it, and puts the handle into `*model`, which is
/// NULL after an error. It belongs to the caller, who frees it with pixtral_model_free.
///
/// This takes milliseconds unless verifying or a copy was asked for: the file is mapped, not read. A mapped
/// file must not be truncated while the model is used; replacing it by a rename is safe. `options` may be
/// NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_model_open(
    path: *const c_char,
    path_len: usize,
    options: *const pixtral_model_options,
    model: *mut *mut pixtral_model,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (place, path, options) = unsafe {
            (
                handle_place(model)?,
                text(path, path_len, "path")?,
                versioned::read(options)?,
            )
        };
        let load = options.load()?;
        let mut teller = Teller::new(options.callback, options.user_data);
        let file = File::open(path)?;
        if options.verify != 0 {
            file.verify(|done, total| teller.progress(pixtral_event_kind::VERIFYING, done, total))?;
        }
        let model = Model::from_file_with(file, &load, &mut |done, total| {
            teller.progress(pixtral_event_kind::LOADING, done, total)
        })?;
        let template = ChatTemplate::new(model.tokenizer(), &model.config().vision)
            .map_err(|e| e.context(path))?;
        *place = Box::into_raw(Box::new(pixtral_model {
            constraints: Arc::new(Constraints::new(model.clone())),
            model,
            template,
        }));
        Ok(())
    })
}

/// Frees a model. What was made from it (pictures, sessions) stays usable. NULL is nothing. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_model_free(model: *mut pixtral_model) {
    // SAFETY: as the caller promises.
    unsafe { free(model) }
}

/// Fills `*info`, whose struct_size the caller has set. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_model_get_info(
    model: *const pixtral_model,
    info: *mut pixtral_model_info,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises.
        let model = &unsafe { borrow(model, "model") }?.model;
        let (text, vision) = (&model.config().text, &model.config().vision);
        let found = pixtral_model_info {
            file_bytes: model.file().bytes().len() as u64,
            n_weights: model.file().tensors().iter().map(|t| t.n_elements()).sum(),
            bytes_per_token: model.bytes_per_token(),
            context_length: text.context_length,
            vocab_size: text.vocab_size,
            embedding_length: text.embedding_length,
            n_layers: text.block_count,
            n_vision_layers: vision.block_count,
            image_size: vision.image_size,
            patch_size: vision.patch_size,
            default_threads: model.default_threads() as u32,
            load_mode: match model.loading().mode {
                LoadMode::Copy => pixtral_load_mode::COPY as u32,
                _ => pixtral_load_mode::MMAP as u32,
            },
            ..pixtral_model_info::defaults()
        };
        // SAFETY: as the caller promises.
        unsafe { versioned::fill(info, &found) }
    })
}

/// Points `*key` and `*key_len` at the name of entry `index` of the file's metadata, counted from 0;
/// PIXTRAL_STATUS_NOT_FOUND after the last. It is not NUL-terminated, belongs to the model, and lives as
/// long as that. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_model_metadata_key(
    model: *const pixtral_model,
    index: usize,
    key: *mut *const c_char,
    key_len: *mut usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (model, key, key_len) = unsafe {
            (
                borrow(model, "model")?,
                place(key, "key")?,
                place(key_len, "key_len")?,
            )
        };
        let metadata = model.model.file().metadata();
        let (name, _) = metadata.iter().nth(index).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no metadata {index}: there are {}", metadata.len()),
            )
        })?;
        (*key, *key_len) = (name.as_ptr().cast(), name.len());
        Ok(())
    })
}

/// Gives the value of the metadata called `key` as JSON: a number, true or false, a string, or a list of
/// those. `*json` is NUL-terminated and belongs to the caller, who frees it with pixtral_string_free;
/// NULL after an error, which is PIXTRAL_STATUS_NOT_FOUND if there is no such key. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_model_metadata_json(
    model: *const pixtral_model,
    key: *const c_char,
    key_len: usize,
    json: *mut *mut c_char,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (json, model, key) = unsafe {
            (
                handle_place(json)?,
                borrow(model, "model")?,
                text(key, key_len, "key")?,
            )
        };
        let value = model.model.file().metadata().get(key).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no metadata called {key:?}"),
            )
        })?;
        *json = give(to_json(value)?.to_string())?;
        Ok(())
    })
}

fn to_json(value: &Value) -> Result<serde_json::Value> {
    Ok(match value {
        Value::U8(x) => json!(x),
        Value::I8(x) => json!(x),
        Value::U16(x) => json!(x),
        Value::I16(x) => json!(x),
        Value::U32(x) => json!(x),
        Value::I32(x) => json!(x),
        Value::U64(x) => json!(x),
        Value::I64(x) => json!(x),
        Value::F32(x) => float(f64::from(*x))?,
        Value::F64(x) => float(*x)?,
        Value::Bool(x) => json!(x),
        Value::String(x) => json!(x),
        Value::Array(array) => match array {
            Array::U8(list) => json!(list),
            Array::I8(list) => json!(list),
            Array::U16(list) => json!(list),
            Array::I16(list) => json!(list),
            Array::U32(list) => json!(list),
            Array::I32(list) => json!(list),
            Array::U64(list) => json!(list),
            Array::I64(list) => json!(list),
            Array::F32(list) => floats(list.iter().map(|&x| f64::from(x)))?,
            Array::F64(list) => floats(list.iter().copied())?,
            Array::Bool(list) => json!(list),
            Array::String(list) => json!(list),
        },
    })
}

fn floats(list: impl Iterator<Item = f64>) -> Result<serde_json::Value> {
    list.map(float).collect::<Result<Vec<_>>>().map(Into::into)
}

/// JSON has no infinities and no NaN.
fn float(x: f64) -> Result<serde_json::Value> {
    match x.is_finite() {
        true => Ok(json!(x)),
        false => Err(invalid(format!("the value is {x}, which JSON cannot say"))),
    }
}
