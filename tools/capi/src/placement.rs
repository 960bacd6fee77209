//! Devices, and the plan that says which of them takes which part of a model.

use crate::{
    arguments::{borrow, give, handle_place, pixtral_str, texts},
    boundary::boundary,
    model::pixtral_model,
    session::pixtral_session,
    session_options::pixtral_session_options,
    status::pixtral_status,
    versioned,
};
use pixtral::{
    Result,
    ggml::Device,
    runtime::{Placer, placement::device_json},
};
use serde_json::Value;
use std::ffi::c_char;

/// Lists what a model can be placed on, this machine's devices and those of `workers`, each an address
/// HOST:PORT, as a JSON list of objects with the fields name, kind, description, free_bytes and
/// total_bytes. `workers` may be NULL if there are none. `*json` is NUL-terminated and belongs to the
/// caller, who frees it with pixtral_string_free; NULL after an error, which is PIXTRAL_STATUS_DEVICE_LOST
/// if a worker does not answer. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_devices_json(
    workers: *const pixtral_str,
    n_workers: usize,
    json: *mut *mut c_char,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (place, workers) =
            unsafe { (handle_place(json)?, texts(workers, n_workers, "workers")?) };
        let mut devices = Device::local()?;
        for worker in workers {
            devices.extend(Device::connect(worker)?);
        }
        let list = devices
            .iter()
            .map(device_json)
            .collect::<Result<Vec<_>>>()?;
        *place = give(Value::from(list).to_string())?;
        Ok(())
    })
}

/// Says where the parts of `model` would go in a session that is set up by `options`, which may be NULL.
/// Nothing is allocated or moved. `*json` is an object with the fields devices (each with its name,
/// budget_bytes, layers, weights_bytes, cache_bytes, work_bytes), vision, embedding, layers and output
/// (names of devices) and notes; NUL-terminated, it belongs to the caller, who frees it with
/// pixtral_string_free; NULL after an error. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_model_plan_json(
    model: *const pixtral_model,
    options: *const pixtral_session_options,
    json: *mut *mut c_char,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (place, model, options) = unsafe {
            (
                handle_place(json)?,
                &borrow(model, "model")?.model,
                versioned::read(options)?.to_library()?,
            )
        };
        let decoder = options.decoder(model);
        let plan = Placer::new(options.placement)?.plan(model, &decoder)?;
        *place = give(plan.to_json().to_string())?;
        Ok(())
    })
}

/// Says where the parts of the session's model are, as pixtral_model_plan_json does. It changes only when
/// a device is lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_plan_json(
    session: *const pixtral_session,
    json: *mut *mut c_char,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (place, session) = unsafe { (handle_place(json)?, borrow(session, "session")?) };
        *place = session.with(|state| give(state.session.plan().to_json().to_string()))?;
        Ok(())
    })
}
