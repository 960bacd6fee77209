//! Sessions: a conversation's messages and tools, and the state of the model that has read them.

use crate::{
    arguments::{borrow, free, handle_place, place, text},
    boundary::boundary,
    constraint::Constraints,
    event::{Teller, pixtral_event_callback},
    generate::Answering,
    image::pixtral_image,
    message::{self, pixtral_message},
    model::pixtral_model,
    saved,
    session_options::pixtral_session_options,
    status::{invalid, pixtral_status},
    versioned,
};
use pixtral::{
    Error, ErrorKind, Result,
    chat::{ChatRequest, ChatTemplate, Message, Prompt},
    ggml::CancelFlag,
    runtime::Model,
    session::Session,
};
use serde_json::{Value, json};
use std::{
    ffi::{c_char, c_void},
    path::Path,
    slice,
    sync::{Arc, Mutex, MutexGuard, TryLockError},
};

/// A conversation with a model. One call at a time, from any thread: another call meanwhile gets
/// PIXTRAL_STATUS_INVALID_ARGUMENT, except for pixtral_session_cancel. Sessions of one model work side by
/// side, and keep it alive.
pub struct pixtral_session {
    state: Mutex<State>,
    cancel: CancelFlag,
}

/// What a call works on.
pub(crate) struct State {
    pub(crate) model: Arc<Model>,
    pub(crate) template: ChatTemplate,
    pub(crate) constraints: Arc<Constraints>,
    pub(crate) session: Session,
    pub(crate) request: ChatRequest,
    pub(crate) answering: Answering,
}

// Sessions may be used by any thread.
const _: () = {
    const fn any_thread<T: Send>() {}
    any_thread::<State>();
};

impl pixtral_session {
    /// Runs `body` on the state, of which this is the only user meanwhile.
    pub(crate) fn with<T>(&self, body: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        body(&mut *self.lock()?)
    }

    /// As [`with`](Self::with), for a call that can be cancelled: a cancel is over with it, unless it
    /// leaves an answer under way, to which the cancel then belongs.
    pub(crate) fn with_cancellable<T>(
        &self,
        body: impl FnOnce(&mut State) -> Result<T>,
    ) -> Result<T> {
        self.with(|state| {
            let result = body(state);
            if !state.answering.is_under_way() {
                self.cancel.reset();
            }
            result
        })
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>> {
        self.state.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => invalid(
                "the session is in use by another call, perhaps the one whose callback this is: use \
                 one session for each thing that is done at the same time",
            ),
            TryLockError::Poisoned(_) => Error::new(
                ErrorKind::Internal,
                "an earlier call on this session was stopped by a bug: free it and make another",
            ),
        })
    }
}

impl State {
    /// The prompt that the messages amount to, with `extra` as the last of them.
    pub(crate) fn prompt(&self, extra: Option<&Message>) -> Result<Prompt> {
        let longer;
        let request = match extra {
            None => &self.request,
            Some(message) => {
                longer = ChatRequest {
                    messages: self
                        .request
                        .messages
                        .iter()
                        .chain([message])
                        .cloned()
                        .collect(),
                    tools: self.request.tools.clone(),
                };
                &longer
            }
        };
        self.template.encode(request, &mut |url| {
            Err(Error::new(
                ErrorKind::Internal,
                format!("{url}: a picture was not prepared"),
            ))
        })
    }
}

/// Begins a conversation, for which memory is taken and weights are moved to devices. `options` may be
/// NULL. `*session` is NULL after an error; else it belongs to the caller, who frees it with
/// pixtral_session_free; the model can be freed before. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_new(
    model: *const pixtral_model,
    options: *const pixtral_session_options,
    session: *mut *mut pixtral_session,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (place, model, options) = unsafe {
            (
                handle_place(session)?,
                borrow(model, "model")?,
                versioned::read(options)?,
            )
        };
        let mut teller = options.teller();
        // SAFETY: as the caller promises.
        let options = unsafe { options.to_library() }?;
        let session = Session::start(model.model.clone(), options, &mut |event| {
            teller.session(event)
        })?;
        *place = Box::into_raw(Box::new(pixtral_session {
            cancel: session.cancel_flag(),
            state: Mutex::new(State {
                model: model.model.clone(),
                template: model.template.clone(),
                constraints: model.constraints.clone(),
                session,
                request: ChatRequest::default(),
                answering: Answering::default(),
            }),
        }));
        Ok(())
    })
}

/// Frees a session, on which no call may be running, and all texts that it lent. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_free(session: *mut pixtral_session) {
    // SAFETY: as the caller promises.
    unsafe { free(session) }
}

/// Stops what runs on the session, as soon as the running operation ends: reading a prompt gives
/// PIXTRAL_STATUS_CANCELLED, an answer ends with PIXTRAL_FINISH_CANCELLED. The session stays usable.
///
/// Who cancels need not know whether the call has begun: if nothing runs, the next call that computes is
/// stopped at its beginning. A call that ends, for whatever reason, takes the cancel with it; an answer
/// that is taken piece by piece ends with the pixtral_session_next that says so, or with
/// pixtral_session_end. Any thread, any callback; the session must not be freed meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_cancel(session: *const pixtral_session) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises.
        unsafe { borrow(session, "session") }?.cancel.cancel();
        Ok(())
    })
}

/// Takes back a cancel that may have come too late, when what it was meant for had already ended, so that
/// it does not stop the next call. Any thread; while a call runs, that may escape a cancel by this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_reset_cancel(
    session: *const pixtral_session,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises.
        unsafe { borrow(session, "session") }?.cancel.reset();
        Ok(())
    })
}

/// Adds a message of one text by `role`, a pixtral_role.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_add_text(
    session: *mut pixtral_session,
    role: u32,
    text: *const c_char,
    text_len: usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (session, text) = unsafe {
            (
                borrow(session, "session")?,
                self::text(text, text_len, "text")?,
            )
        };
        let mut message = message::empty(role)?;
        message::add_text(&mut message, text);
        session.with(|state| {
            state.request.messages.push(message);
            Ok(())
        })
    })
}

/// Adds a copy of a message; pictures are shared, not copied. Whether messages follow each other sensibly
/// is judged when they are read or counted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_add_message(
    session: *mut pixtral_session,
    message: *const pixtral_message,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (session, message) =
            unsafe { (borrow(session, "session")?, borrow(message, "message")?) };
        session.with(|state| {
            state.request.messages.push(message.message.clone());
            Ok(())
        })
    })
}

/// Puts the number of messages into `*n_messages`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_message_count(
    session: *const pixtral_session,
    n_messages: *mut usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (session, place) = unsafe {
            (
                borrow(session, "session")?,
                place(n_messages, "n_messages")?,
            )
        };
        *place = session.with(|state| Ok(state.request.messages.len()))?;
        Ok(())
    })
}

/// Removes all messages but the first `n_messages`, such as a question that was not answered, or all.
/// What the model has read is kept, and used again as far as the next messages begin in the same way:
/// to begin another conversation, or to ask the last question anew, nothing else is needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_truncate(
    session: *mut pixtral_session,
    n_messages: usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises.
        unsafe { borrow(session, "session") }?.with(|state| {
            state.request.messages.truncate(n_messages);
            Ok(())
        })
    })
}

/// Makes `json`, a list of tools as in OpenAI's requests, the tools that the model may call, in the place of
/// those before; "[]" for none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_set_tools(
    session: *mut pixtral_session,
    json: *const c_char,
    json_len: usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (session, json) =
            unsafe { (borrow(session, "session")?, text(json, json_len, "json")?) };
        let tools: Value = serde_json::from_str(json).map_err(|e| {
            Error::new(ErrorKind::InvalidRequest, format!("tools: not JSON: {e}")).with_source(e)
        })?;
        let request = ChatRequest::from_json(&json!({"messages": [], "tools": tools}))?;
        session.with(|state| {
            state.request.tools = request.tools;
            Ok(())
        })
    })
}

/// Counts the tokens of the prompt that would be read if `message` were added, without adding it; NULL
/// counts the messages as they are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_count_tokens(
    session: *const pixtral_session,
    message: *const pixtral_message,
    n_tokens: *mut usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (session, message, place) = unsafe {
            (
                borrow(session, "session")?,
                message.as_ref(),
                place(n_tokens, "n_tokens")?,
            )
        };
        let extra = message.map(|message| &message.message);
        *place = session.with(|state| Ok(state.prompt(extra)?.ids.len()))?;
        Ok(())
    })
}

/// Computes what the decoder sees of a picture, unless the session knows it: embedding_length values (see
/// pixtral_model_info) for each patch, row by row. `n_values` is n_rows * n_columns (see
/// pixtral_image_info) times that. `callback` is told of ENCODING and may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_embed_image(
    session: *mut pixtral_session,
    image: *const pixtral_image,
    callback: pixtral_event_callback,
    user_data: *mut c_void,
    values: *mut f32,
    n_values: usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (session, image) = unsafe { (borrow(session, "session")?, borrow(image, "image")?) };
        // SAFETY: only to see that it is there.
        unsafe { place(values, "values") }?;
        let mut teller = Teller::new(callback, user_data);
        session.with_cancellable(|state| {
            let dim = state.model.config().text.embedding_length as usize;
            let needed = image.prepared.grid.n_patches() * dim;
            if n_values != needed {
                return Err(invalid(format!(
                    "n_values is {n_values}, but the picture's embedding has {needed} values"
                )));
            }
            let embedding = state
                .session
                .embed(&image.prepared, &mut |event| teller.session(event))?;
            // SAFETY: not NULL, and `n_values` long as the caller promises.
            let out = unsafe { slice::from_raw_parts_mut(values, n_values) };
            out.copy_from_slice(&embedding.values);
            Ok(())
        })
    })
}

/// Writes the conversation to the file `path`, which is replaced in one step: messages with their pictures,
/// tools, and what the model has read, so that a later run goes on without reading again. Large: 160 KiB a
/// token for Pixtral-12B. Only its owner can read the file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_save(
    session: *const pixtral_session,
    path: *const c_char,
    path_len: usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (session, path) =
            unsafe { (borrow(session, "session")?, text(path, path_len, "path")?) };
        session.with(|state| {
            let note = saved::write(&state.request)?;
            state.session.save(path, &note)
        })
    })
}

/// Makes the conversation be the one in the file `path`, as pixtral_session_save wrote it with the same
/// model and kv_type. After an error the messages are what they were.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_session_restore(
    session: *mut pixtral_session,
    path: *const c_char,
    path_len: usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (session, path) =
            unsafe { (borrow(session, "session")?, text(path, path_len, "path")?) };
        session.with(|state| {
            let note = state.session.restore(path)?;
            let request = saved::read(&note, &state.model.config().vision)
                .map_err(|e| e.context(Path::new(path).display()))?;
            state.request = request;
            state.answering = Answering::default();
            Ok(())
        })
    })
}
