//! What the command-line tools share: output that survives a closed pipe and a full disk, progress
//! on standard error, Ctrl-C, tables, numbers as people read them, exit codes.
//!
//! It knows the library's error and cancel flag, and nothing of models or pictures.

mod exit;
mod interrupt;
mod output;
pub mod progress;
mod table;
pub mod units;

pub use exit::exit;
pub use interrupt::Interrupt;
pub use output::{note, print};
pub use table::Table;
