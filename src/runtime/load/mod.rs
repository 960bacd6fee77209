//! Where weights are read from while computing: the mapped file, or a copy of it in memory.
//!
//! Owns the choice between the two and its reasons, and reading ahead what will be needed. It knows
//! files and memory; what the bytes mean is above it.

mod choice;
mod probe;
mod read_ahead;
#[cfg(test)]
mod tests;

pub use choice::{Choice, Facts, choose};
pub(super) use read_ahead::ReadAhead;

use super::memory::Available;
use crate::{
    Error, ErrorKind, Result,
    gguf::{Advice, File},
};
use std::{fmt, str::FromStr};

/// Where weights are read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadMode {
    /// What is best here, by what is known of the file and the memory.
    Auto,
    /// The mapped file: ready at once, shared with other processes, and the system can take the
    /// memory back.
    #[default]
    Mmap,
    /// A copy in huge pages of this process's own: takes as much memory as the file is large, and
    /// reading it first.
    Copy,
}

impl fmt::Display for LoadMode {
    /// The name that `from_str` reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            LoadMode::Auto => "auto",
            LoadMode::Mmap => "mmap",
            LoadMode::Copy => "copy",
        })
    }
}

impl FromStr for LoadMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(LoadMode::Auto),
            "mmap" => Ok(LoadMode::Mmap),
            "copy" => Ok(LoadMode::Copy),
            _ => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("load mode {name:?} is unknown, expected auto, mmap or copy"),
            )),
        }
    }
}

/// How a model file is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// Where weights are read from.
    pub mode: LoadMode,
}

/// What `mode` comes to for `file` on this machine, as it is now, and why.
///
/// Errors with `OutOfMemory` if a copy is asked for that memory has no room for.
pub fn choose_for(file: &File, mode: LoadMode) -> Result<Choice> {
    file.advise(0..file.bytes().len() as u64, Advice::HugePages);
    let mut facts = Facts {
        file_bytes: file.bytes().len() as u64,
        available: Available::now(),
        huge_pages: None,
    };
    if mode == LoadMode::Auto && facts.is_worth_probing() {
        facts.huge_pages = probe::huge_pages(file);
    }
    choose(mode, &facts).map_err(|e| e.context(file.path().display()))
}
