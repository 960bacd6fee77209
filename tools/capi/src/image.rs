//! Pictures, prepared for a model.

use crate::{
    arguments::{borrow, free, handle_place, list, text},
    boundary::boundary,
    model::pixtral_model,
    status::pixtral_status,
    versioned::{self, Versioned},
};
use pixtral::{
    Result,
    preprocess::{PreparedImage, PreprocessOptions, Preprocessor},
};
use std::{ffi::c_char, path::Path, sync::Arc};

/// A picture, decoded and prepared for one model. Never changes: any number of threads and messages may
/// use one at the same time.
pub struct pixtral_image {
    pub(crate) prepared: Arc<PreparedImage>,
}

/// How a picture is prepared. Fill it with pixtral_image_options_init, then change what you want.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pixtral_image_options {
    /// sizeof(pixtral_image_options).
    pub struct_size: usize,
    /// Most tokens that the picture may take, for which it is scaled down further; 0, the default, takes
    /// what the model was made for.
    pub max_tokens: u32,
    /// 1 turns the picture as its EXIF data says; 0, the default, does not, as Mistral's own code.
    pub exif_rotate: u32,
}

// SAFETY: repr(C), the size first, integers only.
unsafe impl Versioned for pixtral_image_options {
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            max_tokens: 0,
            exif_rotate: 0,
        }
    }
    const NAME: &'static str = "pixtral_image_options";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// What a picture became. Set `struct_size` before pixtral_image_get_info.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pixtral_image_info {
    /// sizeof(pixtral_image_info).
    pub struct_size: usize,
    /// Pixels from left to right, after scaling.
    pub width: u32,
    /// Pixels from top to bottom, after scaling.
    pub height: u32,
    /// Patches from left to right.
    pub n_columns: u32,
    /// Patches from top to bottom.
    pub n_rows: u32,
    /// Tokens that the picture takes in a prompt.
    pub n_tokens: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), the size first, integers only.
unsafe impl Versioned for pixtral_image_info {
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            width: 0,
            height: 0,
            n_columns: 0,
            n_rows: 0,
            n_tokens: 0,
            reserved: 0,
        }
    }
    const NAME: &'static str = "pixtral_image_info";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// Fills `options`, of which `size` bytes are there (pass sizeof *options), with the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_image_options_init(
    options: *mut pixtral_image_options,
    size: usize,
) -> pixtral_status {
    // SAFETY: as the caller promises.
    boundary(|| unsafe { versioned::init(options, size) })
}

/// Prepares a picture of `model` by `prepare` and puts the handle into `image`.
///
/// # Safety
/// As [`pixtral_image_from_file`] says.
unsafe fn make(
    model: *const pixtral_model,
    options: *const pixtral_image_options,
    image: *mut *mut pixtral_image,
    prepare: impl FnOnce(&Preprocessor) -> Result<PreparedImage>,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (place, model, options) = unsafe {
            (
                handle_place(image)?,
                borrow(model, "model")?,
                versioned::read(options)?,
            )
        };
        let options = PreprocessOptions {
            max_image_tokens: Some(options.max_tokens).filter(|&n| n != 0),
            exif_rotate: options.exif_rotate != 0,
            ..PreprocessOptions::default()
        };
        let preprocessor = Preprocessor::new(&model.model.config().vision, options);
        let prepared = Arc::new(prepare(&preprocessor)?);
        *place = Box::into_raw(Box::new(pixtral_image { prepared }));
        Ok(())
    })
}

/// Decodes and prepares the PNG, JPEG, WebP, GIF, BMP or TIFF file `path` for `model`. `*image` is NULL
/// after an error; else it belongs to the caller, who frees it with pixtral_image_free, and does not need
/// the model any more. `options` may be NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_image_from_file(
    model: *const pixtral_model,
    path: *const c_char,
    path_len: usize,
    options: *const pixtral_image_options,
    image: *mut *mut pixtral_image,
) -> pixtral_status {
    // SAFETY: as the caller promises.
    unsafe {
        make(model, options, image, |preprocessor| {
            preprocessor.prepare_file(Path::new(text(path, path_len, "path")?))
        })
    }
}

/// As pixtral_image_from_file, from the `len` bytes of such a file in memory, which are not needed
/// afterwards. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_image_from_memory(
    model: *const pixtral_model,
    data: *const u8,
    len: usize,
    options: *const pixtral_image_options,
    image: *mut *mut pixtral_image,
) -> pixtral_status {
    // SAFETY: as the caller promises.
    unsafe {
        make(model, options, image, |preprocessor| {
            preprocessor.prepare("the picture", list(data, len, "data")?)
        })
    }
}

/// As pixtral_image_from_file, from pixels: `len` is 3 * width * height bytes, row by row from the top,
/// each pixel as red, green, blue. They are not needed afterwards. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_image_from_rgb(
    model: *const pixtral_model,
    width: u32,
    height: u32,
    pixels: *const u8,
    len: usize,
    options: *const pixtral_image_options,
    image: *mut *mut pixtral_image,
) -> pixtral_status {
    // SAFETY: as the caller promises.
    unsafe {
        make(model, options, image, |preprocessor| {
            preprocessor.prepare_rgb(width, height, list(pixels, len, "pixels")?)
        })
    }
}

/// Fills `*info`, whose struct_size the caller has set. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_image_get_info(
    image: *const pixtral_image,
    info: *mut pixtral_image_info,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises.
        let image = &unsafe { borrow(image, "image") }?.prepared;
        let found = pixtral_image_info {
            width: image.width,
            height: image.height,
            n_columns: image.grid.cols,
            n_rows: image.grid.rows,
            n_tokens: image.grid.n_tokens() as u32,
            ..pixtral_image_info::defaults()
        };
        // SAFETY: as the caller promises.
        unsafe { versioned::fill(info, &found) }
    })
}

/// Frees a picture. Messages that it was added to keep it. NULL is nothing. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_image_free(image: *mut pixtral_image) {
    // SAFETY: as the caller promises.
    unsafe { free(image) }
}
