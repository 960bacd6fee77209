//! Which of the compiled CPU kernels this process uses.

use super::log;
use crate::{Error, ErrorKind, Result};
use ggml_sys::cpu;

/// Name of the instruction-set variant of the CPU kernels in use, e.g. `avx512`; the best that the
/// processor runs unless the environment variable `PIXTRAL_CPU` names another.
///
/// Errors if that variable names one that does not exist or that this processor cannot run.
pub fn cpu_variant() -> Result<&'static str> {
    log::install();
    cpu::select(None).map_err(|e| {
        Error::new(ErrorKind::InvalidArgument, format!("{}: {e}", cpu::ENV)).with_source(e)
    })
}
