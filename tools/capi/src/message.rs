//! Messages with several parts, put together before they are added to a session.

use crate::{
    arguments::{borrow, free, handle_place, optional_text, place, text},
    boundary::boundary,
    image::pixtral_image,
    status::{invalid, pixtral_status},
};
use pixtral::{
    Result,
    chat::{Message, Part, ToolCall},
};
use std::ffi::c_char;

/// Whose message it is.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pixtral_role {
    /// Instructions for the whole conversation.
    SYSTEM = 0,
    /// The person who asks.
    USER = 1,
    /// The model.
    ASSISTANT = 2,
    /// A tool that the model called.
    TOOL = 3,
}

/// A message in the making. One thread at a time.
pub struct pixtral_message {
    pub(crate) message: Message,
}

/// An empty message of `role`, which is a [`pixtral_role`].
pub(crate) fn empty(role: u32) -> Result<Message> {
    let texts = Vec::new();
    Ok(match role {
        0 => Message::System { texts },
        1 => Message::User { parts: Vec::new() },
        2 => Message::Assistant {
            texts,
            tool_calls: Vec::new(),
            prefix: false,
        },
        3 => Message::Tool {
            texts,
            call_id: String::new(),
            name: None,
        },
        _ => {
            return Err(invalid(format!(
                "role is {role}, expected one of the values of pixtral_role"
            )));
        }
    })
}

/// Adds `text` to `message`. Empty text is no content.
pub(crate) fn add_text(message: &mut Message, text: &str) {
    if text.is_empty() {
        return;
    }
    match message {
        Message::User { parts } => parts.push(Part::text(text)),
        Message::System { texts }
        | Message::Assistant { texts, .. }
        | Message::Tool { texts, .. } => texts.push(text.to_owned()),
    }
}

/// Makes an empty message of `role`, a pixtral_role. `*message` is NULL after an error; else it belongs to
/// the caller, who frees it with pixtral_message_free, also after adding it to a session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_message_new(
    role: u32,
    message: *mut *mut pixtral_message,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises.
        let place = unsafe { handle_place(message) }?;
        let message = empty(role)?;
        *place = Box::into_raw(Box::new(pixtral_message { message }));
        Ok(())
    })
}

/// Adds a copy of `text`. Parts are meant in the order in which they are added; texts that meet are joined
/// with an empty line between them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_message_add_text(
    message: *mut pixtral_message,
    text: *const c_char,
    text_len: usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (message, text) = unsafe {
            (
                place(message, "message")?,
                self::text(text, text_len, "text")?,
            )
        };
        add_text(&mut message.message, text);
        Ok(())
    })
}

/// Adds a picture, which stays the caller's and may be added to other messages. Users' messages only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_message_add_image(
    message: *mut pixtral_message,
    image: *const pixtral_image,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (message, image) = unsafe { (place(message, "message")?, borrow(image, "image")?) };
        match &mut message.message {
            Message::User { parts } => parts.push(Part::image(image.prepared.clone())),
            other => {
                return Err(invalid(format!(
                    "only messages of the user can have pictures, this one is of the {}",
                    other.role()
                )));
            }
        }
        Ok(())
    })
}

/// Adds a call that the model made of the tool `name`: `arguments` is JSON text, `id` 9 letters or digits,
/// to which the tool's result refers. Messages of the assistant only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_message_add_tool_call(
    message: *mut pixtral_message,
    id: *const c_char,
    id_len: usize,
    name: *const c_char,
    name_len: usize,
    arguments: *const c_char,
    arguments_len: usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (message, id, name, arguments) = unsafe {
            (
                place(message, "message")?,
                text(id, id_len, "id")?,
                text(name, name_len, "name")?,
                optional_text(arguments, arguments_len, "arguments")?,
            )
        };
        match &mut message.message {
            Message::Assistant { tool_calls, .. } => {
                tool_calls.push(ToolCall::new(id, name, arguments.unwrap_or_default()));
            }
            other => {
                return Err(invalid(format!(
                    "only messages of the assistant can call tools, this one is of the {}",
                    other.role()
                )));
            }
        }
        Ok(())
    })
}

/// Says which call a tool's message answers. Messages of tools only, which need it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_message_set_call_id(
    message: *mut pixtral_message,
    id: *const c_char,
    id_len: usize,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises, for each.
        let (message, id) = unsafe { (place(message, "message")?, text(id, id_len, "id")?) };
        match &mut message.message {
            Message::Tool { call_id, .. } => *call_id = id.to_owned(),
            other => {
                return Err(invalid(format!(
                    "only messages of tools answer calls, this one is of the {}",
                    other.role()
                )));
            }
        }
        Ok(())
    })
}

/// Says that the model is to continue this message, which must then be the last. Messages of the assistant
/// only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_message_set_prefix(
    message: *mut pixtral_message,
) -> pixtral_status {
    boundary(|| {
        // SAFETY: as the caller promises.
        match &mut unsafe { place(message, "message") }?.message {
            Message::Assistant { prefix, .. } => *prefix = true,
            other => {
                return Err(invalid(format!(
                    "only messages of the assistant can be continued, this one is of the {}",
                    other.role()
                )));
            }
        }
        Ok(())
    })
}

/// Frees a message. NULL is nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pixtral_message_free(message: *mut pixtral_message) {
    // SAFETY: as the caller promises.
    unsafe { free(message) }
}
