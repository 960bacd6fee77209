//! What long calls tell while they run, and the answer that stops them.

use std::{
    ffi::{c_char, c_void},
    ops::ControlFlow,
    ptr,
};

/// What a pixtral_event is about.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pixtral_event_kind {
    /// A model file's checksums are compared; `done` and `total` are bytes.
    VERIFYING = 0,
    /// A model file is copied into memory; `done` and `total` are bytes.
    LOADING = 1,
    /// Weights go to the memory of other devices; `done` and `total` are bytes.
    PLACING = 2,
    /// A picture passes through the vision tower: the `image`-th, from 0, of the `n_images` that are not
    /// known yet; `done` and `total` are layers.
    ENCODING = 3,
    /// The prompt is read; `done` and `total` are tokens, those known from before included.
    READING = 4,
    /// The answer goes on with `text`.
    TEXT = 5,
    /// Something worth knowing, the sentence `text`: that a device is gone or has too little memory, and
    /// what was done about it.
    NOTE = 6,
    /// Weights are converted; `done` and `total` are bytes, `text` is the tensor's name.
    CONVERTING = 7,
    /// An unfinished file is continued; `done` and `total` are tensors.
    RESUMING = 8,
}

/// Progress, or a piece of an answer. Later versions may be longer: look at `struct_size` before
/// reading a field that came later.
#[repr(C)]
pub struct pixtral_event {
    /// Bytes of this struct.
    pub struct_size: usize,
    /// What it is about. Ignore kinds that you do not know.
    pub kind: pixtral_event_kind,
    /// See the kind.
    pub image: u32,
    /// See the kind.
    pub n_images: u32,
    /// See the kind.
    pub done: u64,
    /// See the kind.
    pub total: u64,
    /// See the kind: NUL-terminated UTF-8, valid until the callback returns; else NULL.
    pub text: *const c_char,
    /// Bytes of `text`, the final NUL not counted.
    pub text_len: usize,
}

/// Is told what happens; anything but 0 as the result stops the call. Called by the thread that made
/// the call, before that returns. It must not unwind or longjmp out, nor use the session it is called
/// for, pixtral_session_cancel excepted.
pub type pixtral_event_callback =
    Option<unsafe extern "C" fn(event: *const pixtral_event, user_data: *mut c_void) -> i32>;

/// A callback with its data, and room for the texts that it is told.
pub(crate) struct Teller {
    callback: pixtral_event_callback,
    user_data: *mut c_void,
    text: Vec<u8>,
}

impl Teller {
    pub(crate) fn new(callback: pixtral_event_callback, user_data: *mut c_void) -> Self {
        Self {
            callback,
            user_data,
            text: Vec::new(),
        }
    }

    /// Tells of `done` of `total`.
    pub(crate) fn progress(
        &mut self,
        kind: pixtral_event_kind,
        done: u64,
        total: u64,
    ) -> ControlFlow<()> {
        self.call(&pixtral_event {
            done,
            total,
            ..event(kind)
        })
    }

    /// Tells of a text, and of `done` of `total` if there is such.
    pub(crate) fn text(
        &mut self,
        kind: pixtral_event_kind,
        text: &str,
        (done, total): (u64, u64),
    ) -> ControlFlow<()> {
        self.text.clear();
        self.text.extend_from_slice(text.as_bytes());
        self.text.push(0);
        self.call(&pixtral_event {
            done,
            total,
            text: self.text.as_ptr().cast(),
            text_len: text.len(),
            ..event(kind)
        })
    }

    /// Tells what a session does.
    pub(crate) fn session(&mut self, event: pixtral::session::Event) -> ControlFlow<()> {
        use pixtral::session::Event;
        match event {
            Event::Encoding {
                image,
                n_images,
                layer,
                n_layers,
            } => self.call(&pixtral_event {
                image: image as u32,
                n_images: n_images as u32,
                done: layer as u64,
                total: n_layers as u64,
                ..self::event(pixtral_event_kind::ENCODING)
            }),
            Event::Reading { done, total } => {
                self.progress(pixtral_event_kind::READING, done as u64, total as u64)
            }
            Event::Placing { done, total } => {
                self.progress(pixtral_event_kind::PLACING, done, total)
            }
            Event::Text(piece) => self.text(pixtral_event_kind::TEXT, piece, (0, 0)),
            Event::Note(note) => self.text(pixtral_event_kind::NOTE, note, (0, 0)),
            _ => ControlFlow::Continue(()),
        }
    }

    fn call(&self, event: &pixtral_event) -> ControlFlow<()> {
        let Some(callback) = self.callback else {
            return ControlFlow::Continue(());
        };
        // SAFETY: the callback is called as its type says, with an event that lives until it returns.
        match unsafe { callback(event, self.user_data) } {
            0 => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}

fn event(kind: pixtral_event_kind) -> pixtral_event {
    pixtral_event {
        struct_size: size_of::<pixtral_event>(),
        kind,
        image: 0,
        n_images: 0,
        done: 0,
        total: 0,
        text: ptr::null(),
        text_len: 0,
    }
}
