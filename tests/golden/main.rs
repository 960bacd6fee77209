//! Compares the library with the golden set: results of the reference implementations.
//!
//! `PIXTRAL_GOLDEN=DIR` runs every test against another set of the same format; the default is
//! the part of it that is committed. The format is described in the set's README.md.

mod chat;
mod checkpoint;
mod convert;
mod e2e;
mod preprocess;
mod support;
mod tokenizer;
