//! Turns a checkpoint into the one GGUF file that the runtime reads.
//!
//! A [`Recipe`] decides the type of every tensor, the plan lays the file out, the pipeline streams
//! the weights through it in one pass, and the [`Report`] says what became of them. Uses checkpoint
//! sources, ggml's quantisation and the container's writer; knows nothing of graphs or sessions.
//! The file itself is described in `docs/FORMAT.md`. [`export()`] gives it back as the pair of files
//! that llama.cpp runs.
//!
//! ```no_run
//! use pixtral::{checkpoint::Checkpoint, quantize::{Event, QuantizeOptions, Recipe, quantize}};
//! use std::{ops::ControlFlow, path::Path};
//!
//! let checkpoint = Checkpoint::open(Path::new("Pixtral-12B-2409"))?;
//! let recipe: Recipe = "q4_k".parse()?;
//! let options = QuantizeOptions::default();
//! let mut silent = |_: &Event| ControlFlow::Continue(());
//! let report = quantize(&checkpoint, Path::new("pixtral.gguf"), &recipe, &options, &mut silent)?;
//! println!("{report}");
//! # Ok::<(), pixtral::Error>(())
//! ```

mod encode;
mod export;
mod jobs;
mod kept;
mod mixture;
mod output;
mod pipeline;
mod plan;
mod recipe;
mod report;
mod synthesize;
#[cfg(test)]
mod tests;

pub use export::{ExportOptions, ExportReport, HalfReport, export};
pub use pipeline::quantize;
pub use recipe::{Recipe, TYPES, TensorOverride};
pub use report::{Fallback, GroupReport, Report, SourceReport};
pub use synthesize::synthesize;

use crate::checkpoint::TensorSource;
use crate::{Error, ErrorKind, Result};
use std::ops::ControlFlow;

/// How a conversion is run. Nothing here changes a byte of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantizeOptions {
    /// Replace a file of the same name, in one step at the end.
    pub overwrite: bool,
    /// Keep the complete tensors of an unfinished file of the same conversion.
    pub resume: bool,
    /// Threads that quantise; `None` for one per processor.
    pub n_threads: Option<usize>,
}

impl Default for QuantizeOptions {
    /// Replaces nothing, resumes, and uses every processor.
    fn default() -> Self {
        Self {
            overwrite: false,
            resume: true,
            n_threads: None,
        }
    }
}

/// What a conversion tells while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An unfinished file is continued.
    Resuming {
        /// Tensors that are complete in it.
        tensors: usize,
        /// Tensors of the whole file.
        of: usize,
    },
    /// Weights pass through; also told before the first of them.
    Converting {
        /// Bytes of the source that are done, those of kept tensors among them. For
        /// [`synthesize`], which has no source, and [`export`], bytes of what is written.
        done: u64,
        /// Bytes in all.
        total: u64,
        /// Name of the tensor in turn.
        tensor: &'a str,
    },
}

/// Hears of [`Event`]s, and breaks the conversion off by returning `Break`.
pub type Progress<'a> = dyn FnMut(&Event) -> ControlFlow<()> + 'a;

/// What [`quantize`] would do, without doing it: the report with no errors measured.
///
/// # Errors
/// Those of [`quantize`] that show before the weights are read.
pub fn preview(source: &dyn TensorSource, recipe: &Recipe) -> Result<Report> {
    plan::Conversion::new(source, recipe).map(|conversion| conversion.report(source))
}

/// The end that a `Break` of the [`Progress`] brings.
fn cancelled() -> Error {
    Error::new(
        ErrorKind::Cancelled,
        "cancelled before the file was complete",
    )
}
