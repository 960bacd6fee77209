//! From requests to what the library takes: options of generating, constraints, prompts.
//!
//! Everything that can be refused is refused here, before a job begins.

pub(crate) mod chat;
pub(crate) mod format;
pub(crate) mod pictures;
pub(crate) mod sampling;
pub(crate) mod tools;
