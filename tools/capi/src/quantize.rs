//! The converter: a checkpoint to the one file that models are opened from.

use crate::{
    arguments::{give, handle_place, optional_text, text, texts},
    boundary::boundary,
    event::{Teller, pixtral_event_callback, pixtral_event_kind},
    status::pixtral_status,
    versioned::{self, Versioned},
};
use pixtral::{
    Error, ErrorKind, Result,
    checkpoint::Checkpoint,
    quantize::{Event, QuantizeOptions, Recipe, TensorOverride, quantize},
};
use std::{
    ffi::{c_char, c_void},
    ops::ControlFlow,
    path::Path,
    ptr,
};

/// How a checkpoint is converted. Fill it with pixtral_quantize_options_init, then change what you want.
/// Texts are read during the call only.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pixtral_quantize_options {
    /// sizeof(pixtral_quantize_options).
    pub struct_size: usize,
    /// Type of the weights; NULL, the default, for "q4_k". Of f32, bf16, f16, q8_0, q6_k, q5_k, q5_0, q4_k,
    /// q4_0, iq4_nl, iq4_xs, q3_k, q2_k; those below q8_0 are mixtures, which keep sensitive tensors at
    /// more bits. NUL-terminated.
    pub weight_type: *const c_char,
    /// Type of the vision tower and the projector; NULL, the default, for what suits weight_type.
    /// NUL-terminated.
    pub vision_type: *const c_char,
    /// Exceptions, "REGEX=TYPE", for tensors whose names match; later ones win.
    pub tensor_types: *const crate::pixtral_str,
    /// Their number; 0 by default.
    pub n_tensor_types: usize,
    /// Threads that quantise; 0, the default, for one per processor.
    pub n_threads: usize,
    /// 1 replaces the file if it exists; 0 by default.
    pub overwrite: u32,
    /// 1 begins anew where an interrupted conversion could be resumed; 0 by default.
    pub no_resume: u32,
}

// SAFETY: repr(C), the size first, integers and pointers only.
unsafe impl Versioned for pixtral_quantize_options {
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            weight_type: ptr::null(),
            vision_type: ptr::null(),
            tensor_types: ptr::null(),
            n_tensor_types: 0,
            n_threads: 0,
            overwrite: 0,
            no_resume: 0,
        }
    }
    const NAME: &'static str = "pixtral_quantize_options";
    const FIRST_SIZE: usize = size_of::<Self>();
}

impl pixtral_quantize_options {
    /// The recipe.
    ///
    /// # Safety
    /// The texts are as the struct says.
    unsafe fn recipe(&self) -> Result<Recipe> {
        let end = crate::arguments::NUL_TERMINATED;
        // SAFETY: as the caller promises, for each.
        let (weights, vision, exceptions) = unsafe {
            (
                optional_text(self.weight_type, end, "weight_type")?.unwrap_or("q4_k"),
                optional_text(self.vision_type, end, "vision_type")?,
                texts(self.tensor_types, self.n_tensor_types, "tensor_types")?,
            )
        };
        let mut recipe: Recipe = weights.parse()?;
        if let Some(vision) = vision {
            recipe = recipe.with_vision_type(vision.parse()?)?;
        }
        for exception in exceptions {
            recipe = recipe.with_override(exception.parse::<TensorOverride>()?);
        }
        Ok(recipe)
    }
}

/// Fills `options`, of which `size` bytes are there (pass sizeof *options), with the defaults.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_quantize_options_init(
    options: *mut pixtral_quantize_options,
    size: usize,
) -> pixtral_status {
    // SAFETY: as the caller promises.
    boundary(|| unsafe { versioned::init(options, size) })
}

/// Converts the checkpoint in the folder `checkpoint` (Mistral's or Hugging Face's layout) to the GGUF file
/// `output`, streaming: little memory is needed. The file gets its name when it is complete; until then it
/// is `output`.partial, and stays so after an error or when `callback` stops the call, to be resumed by the
/// same call.
///
/// `callback` is told of RESUMING and CONVERTING. `options`, `callback` and `report` may be NULL. `*report`
/// is what was done as a JSON object (sizes, bits per weight, errors by group), NUL-terminated; it belongs
/// to the caller, who frees it with pixtral_string_free; NULL after an error. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_quantize(
    checkpoint: *const c_char,
    checkpoint_len: usize,
    output: *const c_char,
    output_len: usize,
    options: *const pixtral_quantize_options,
    callback: pixtral_event_callback,
    user_data: *mut c_void,
    report: *mut *mut c_char,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (place, checkpoint, output, given) = unsafe {
            (
                match report.is_null() {
                    true => None,
                    false => Some(handle_place(report)?),
                },
                text(checkpoint, checkpoint_len, "checkpoint")?,
                text(output, output_len, "output")?,
                versioned::read(options)?,
            )
        };
        // SAFETY: as the caller promises.
        let recipe = unsafe { given.recipe() }?;
        let options = QuantizeOptions {
            overwrite: given.overwrite != 0,
            resume: given.no_resume == 0,
            n_threads: Some(given.n_threads).filter(|&n| n != 0),
        };
        let mut teller = Teller::new(callback, user_data);
        let mut progress = |event: &Event| match *event {
            Event::Resuming { tensors, of } => {
                teller.progress(pixtral_event_kind::RESUMING, tensors as u64, of as u64)
            }
            Event::Converting {
                done,
                total,
                tensor,
            } => teller.text(pixtral_event_kind::CONVERTING, tensor, (done, total)),
            _ => ControlFlow::Continue(()),
        };
        let checkpoint = Checkpoint::open(Path::new(checkpoint))?;
        let done = quantize(
            &checkpoint,
            Path::new(output),
            &recipe,
            &options,
            &mut progress,
        )?;
        if let Some(place) = place {
            let json = serde_json::to_string(&done).map_err(|e| {
                Error::new(ErrorKind::Internal, format!("the report is not JSON: {e}"))
            })?;
            *place = give(json)?;
        }
        Ok(())
    })
}
