//! The switch between this package's own kernels and ggml's. Ours compute some
//! operations of the CPU backend faster (`shim/kernels`); with ggml's alone,
//! errors can be hunted and speeds compared.

use std::{env, fmt};

/// The environment variable that names the kernels to use.
pub const ENV: &str = "PIXTRAL_KERNELS";

unsafe extern "C" {
    /// The function of `shim/own_kernels.h`.
    safe fn ggml_sys_use_own_kernels(own: bool);
}

/// Whose kernels compute an operation that both can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// This package's.
    Own,
    /// ggml's.
    Ggml,
}

/// The value of [`ENV`], which names no kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKernels(pub String);

impl fmt::Display for UnknownKernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there are no kernels named `{}`; there are `own` (the default) and `ggml`",
            self.0
        )
    }
}

impl std::error::Error for UnknownKernels {}

impl Kernels {
    /// The kernels that [`ENV`] names, or our own.
    pub fn from_env() -> Result<Self, UnknownKernels> {
        let name = env::var_os(ENV).unwrap_or_default();
        match name.to_string_lossy().as_ref() {
            "" | "own" => Ok(Self::Own),
            "ggml" => Ok(Self::Ggml),
            other => Err(UnknownKernels(other.to_owned())),
        }
    }

    /// Takes these kernels into use in the whole process. Without a call they
    /// are our own. A graph must be planned and computed by the same kernels, so
    /// none may be under way meanwhile.
    pub fn select(self) {
        ggml_sys_use_own_kernels(self == Self::Own);
    }
}
