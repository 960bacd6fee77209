//! Which of the compiled CPU kernels this process uses.

use super::log;
use crate::{Error, ErrorKind, Result};
use ggml_sys::{
    cpu,
    kernels::{self, Kernels},
};
use std::sync::Once;

/// Name of the instruction-set variant of the CPU kernels in use, e.g. `avx512`; the best that the
/// processor runs unless the environment variable `PIXTRAL_CPU` names another. Also takes our own
/// kernels into use, unless `PIXTRAL_KERNELS=ggml` leaves everything to ggml's.
///
/// Errors if a variable names something that does not exist or that this processor cannot run.
pub fn cpu_variant() -> Result<&'static str> {
    static KERNELS: Once = Once::new();
    log::install();
    let variant = cpu::select(None).map_err(|e| invalid(cpu::ENV, e))?;
    let kernels = Kernels::from_env().map_err(|e| invalid(kernels::ENV, e))?;
    KERNELS.call_once(|| kernels.select());
    Ok(variant)
}

fn invalid(variable: &str, e: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("{variable}: {e}")).with_source(e)
}
