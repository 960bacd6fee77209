//! Writing to standard output and standard error without panicking: the standard macros do when a
//! pipe is closed or a disk is full.

use pixtral::{Error, Result};
use std::{
    fmt,
    io::{self, Write},
    process,
};

/// The exit code of a program that a closed pipe has ended: 128 and the number of SIGPIPE.
const CLOSED_PIPE: i32 = 141;

/// Writes to standard output at once; [`out!`](crate::out) and [`outln!`](crate::outln) call it.
///
/// A pipe that the reader has closed ends the program quietly, as is the custom of tools that are
/// piped into `head`.
pub fn print(text: fmt::Arguments) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => process::exit(CLOSED_PIPE),
        Err(e) => Err(Error::io("standard output", "write to", e)),
    }
}

/// Writes to standard error; [`noteln!`](crate::noteln) calls it. What cannot be said there cannot
/// be said at all.
pub fn note(text: fmt::Arguments) {
    _ = io::stderr().lock().write_fmt(text);
}

/// Prints to standard output; gives a `Result`.
#[macro_export]
macro_rules! out {
    ($($arg:tt)*) => { $crate::print(format_args!($($arg)*)) };
}

/// Prints a line to standard output; gives a `Result`.
#[macro_export]
macro_rules! outln {
    ($($arg:tt)*) => { $crate::print(format_args!("{}\n", format_args!($($arg)*))) };
}

/// Prints a line to standard error.
#[macro_export]
macro_rules! noteln {
    ($($arg:tt)*) => { $crate::note(format_args!("{}\n", format_args!($($arg)*))) };
}
