//! Results as exit codes: 0 for success, 1 for an error, 130 for an interrupt. (Usage errors end
//! with 2, which is the argument parser's doing.)

use crate::noteln;
use pixtral::{ErrorKind, Result};
use std::process::ExitCode;

/// Reports an error on standard error as one sentence and gives the exit code for `result`.
pub fn exit(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::Cancelled => {
            noteln!("interrupted: {error}");
            ExitCode::from(130)
        }
        Err(error) => {
            noteln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
