//! What reading the conversation would take.

use crate::{
    arguments::borrow,
    boundary::boundary,
    message::pixtral_message,
    session::pixtral_session,
    status::{invalid, pixtral_status},
    versioned::{self, Versioned},
};

/// What reading a conversation would take. Set `struct_size` before pixtral_session_estimate.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pixtral_estimate {
    /// sizeof(pixtral_estimate).
    pub struct_size: usize,
    /// Tokens known from before, which cost nothing.
    pub n_known_tokens: usize,
    /// Tokens to be read.
    pub n_tokens: usize,
    /// How many of them are pictures'.
    pub n_image_tokens: usize,
    /// Pictures that have to pass through the vision tower.
    pub n_images_to_encode: usize,
    /// Expected seconds in the vision tower.
    pub encode_seconds: f64,
    /// Expected seconds in reading the prompt.
    pub prefill_seconds: f64,
}

// SAFETY: repr(C), the size first, integers and floats only.
unsafe impl Versioned for pixtral_estimate {
    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            n_known_tokens: 0,
            n_tokens: 0,
            n_image_tokens: 0,
            n_images_to_encode: 0,
            encode_seconds: 0.0,
            prefill_seconds: 0.0,
        }
    }
    const NAME: &'static str = "pixtral_estimate";
    const FIRST_SIZE: usize = size_of::<Self>();
}

/// Estimates what pixtral_session_generate would take before its first token if `message` were added,
/// without adding it; NULL for the messages as they are. `estimate`, whose struct_size the caller has set,
/// is filled. The first call measures this machine for about a second, unless an earlier run has left
/// figures in image_cache_dir.
///
/// PIXTRAL_STATUS_INVALID_ARGUMENT if parts of the model are on other devices, which are not measured.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_estimate(
    session: *mut pixtral_session,
    message: *const pixtral_message,
    estimate: *mut pixtral_estimate,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each. A size that will not do is found now, not after the work.
        let (session, message) = unsafe {
            versioned::fill(estimate, &pixtral_estimate::defaults())?;
            (borrow(session, "session")?, message.as_ref())
        };
        let extra = message.map(|message| &message.message);
        let found = session.with(|state| {
            let prompt = state.prompt(extra)?;
            state.session.estimate(&prompt)
        })?;
        let found = found.ok_or_else(|| {
            invalid(
                "times are known of the CPU alone, and parts of this session's model are on other \
                 devices: use devices = \"cpu\" for an estimate",
            )
        })?;
        let encoded = found.pictures.iter().filter(|picture| picture.encode);
        let found = pixtral_estimate {
            n_known_tokens: found.n_known,
            n_tokens: found.n_tokens,
            n_image_tokens: found.n_image_tokens(),
            n_images_to_encode: encoded.count(),
            encode_seconds: found.encode_time.as_secs_f64(),
            prefill_seconds: found.prefill_time.as_secs_f64(),
            ..pixtral_estimate::defaults()
        };
        // SAFETY: as the caller promises.
        unsafe { versioned::fill(estimate, &found) }
    })
}
