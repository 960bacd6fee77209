//! The tool as users meet it: arguments, what it prints, exit codes, and what is on disk afterwards.

mod convert;
mod errors;
mod export;
#[cfg(unix)]
mod interrupt;
mod support;
mod synth;
