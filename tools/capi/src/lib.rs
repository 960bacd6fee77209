//! The C ABI of pixtral, on which C, C++, Python and every language with a foreign-function interface
//! build. `include/pixtral.h` is generated from this crate.
//!
//! Owns handles, the checking of what comes from C, error codes and texts, and the promise that nothing
//! unwinds out of it. All work is the library's, through its public interface: models, sessions and
//! files are known here only as far as C has to name them.
//!
//! | module | owns |
//! |---|---|
//! | `boundary` | panics end here; the text of the last error |
//! | `status` | error codes |
//! | `arguments` | pointers, texts and lists from C |
//! | `versioned` | structs that may grow |
//! | `about` | version, features, log |
//! | `model`, `image`, `message` | handles of those names |
//! | `session`, `session_options` | a conversation: messages, tools, files; how it is set up |
//! | `placement`, `estimate` | which devices take what; what reading will take |
//! | `saved` | the messages in a session's file |
//! | `constraint` | what answers may be |
//! | `generate`, `event` | answers, in one go or piece by piece, and what is told meanwhile |
//! | `quantize` | the converter |
//!
//! A separate crate, so that building the library for Rust programs links no C library, and so that
//! the compiler keeps this one to the public interface.

// The names are C's. What callers must keep to is said in each function's text, which is the header's.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]

mod about;
mod arguments;
mod boundary;
mod constraint;
mod estimate;
mod event;
mod generate;
mod image;
mod message;
mod model;
mod placement;
mod quantize;
mod saved;
mod session;
mod session_options;
mod status;
mod versioned;

pub use about::*;
pub use boundary::pixtral_last_error;
pub use constraint::pixtral_constraint;
pub use estimate::*;
pub use event::*;
pub use generate::*;
pub use image::*;
pub use message::*;
pub use model::*;
pub use placement::*;
pub use quantize::*;
pub use session::*;
pub use session_options::*;
pub use status::*;

pub use arguments::{pixtral_str, pixtral_string_free};
