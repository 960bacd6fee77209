//! Which build of the CPU kernels is in use. On Linux the library holds one per
//! instruction set and takes the best that the processor runs; elsewhere, and
//! with the feature `native`, it holds one. This module may only ask and
//! choose: what the kernels compute is ggml's business.

use std::ffi::{CStr, CString, c_char, c_int};
use std::{env, fmt};

/// The environment variable that names the build to use.
pub const ENV: &str = "PIXTRAL_CPU";

/// The functions of `shim/cpu_select.h`.
mod ffi {
    use super::{c_char, c_int};

    pub const OK: c_int = 0;
    pub const UNSUPPORTED: c_int = 2;
    pub const IN_USE: c_int = 3;

    unsafe extern "C" {
        pub safe fn ggml_sys_cpu_count() -> usize;
        pub safe fn ggml_sys_cpu_name(index: usize) -> *const c_char;
        pub safe fn ggml_sys_cpu_is_supported(index: usize) -> bool;
        pub safe fn ggml_sys_cpu_in_use() -> *const c_char;
        pub unsafe fn ggml_sys_cpu_use(name: *const c_char) -> c_int;
    }
}

/// One build of the CPU kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The name of its instruction set, such as `avx2`.
    pub name: &'static str,
    /// Whether this processor and operating system can run it.
    pub supported: bool,
}

/// Why a build cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectError {
    /// The library has no build of this name.
    Unknown(String),
    /// The processor lacks instructions that the build uses.
    Unsupported(String),
    /// Another build is in use, and its buffers and threads with it.
    InUse {
        /// The build asked for.
        wanted: String,
        /// The build in use.
        current: &'static str,
    },
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(
                    f,
                    "there are no CPU kernels named `{name}` in this program; it has {}",
                    Names(|_| true)
                )
            }
            Self::Unsupported(name) => write!(
                f,
                "this processor cannot run the CPU kernels `{name}`; it can run {}",
                Names(|variant| variant.supported)
            ),
            Self::InUse { wanted, current } => write!(
                f,
                "the CPU kernels `{current}` are in use already; choose `{wanted}` before anything \
                 is computed"
            ),
        }
    }
}

impl std::error::Error for SelectError {}

/// The names of the builds that pass a test, as a list in a sentence.
struct Names(fn(&Variant) -> bool);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = variants()
            .iter()
            .filter(|v| (self.0)(v))
            .map(|v| v.name)
            .collect();
        f.write_str(&names.join(", "))
    }
}

/// The builds in this library, best first.
pub fn variants() -> Vec<Variant> {
    (0..ffi::ggml_sys_cpu_count())
        .filter_map(|index| {
            let name = text(ffi::ggml_sys_cpu_name(index))?;
            Some(Variant {
                name,
                supported: ffi::ggml_sys_cpu_is_supported(index),
            })
        })
        .collect()
}

/// The build in use, or `None` as long as no function of ggml's CPU backend has
/// been called.
pub fn in_use() -> Option<&'static str> {
    text(ffi::ggml_sys_cpu_in_use())
}

/// Takes a build into use, for good, and returns its name. Without a `name` it
/// is the one that [`ENV`] names, or else the best that this processor runs; if
/// one is in use already, that stays.
///
/// ggml's functions choose in the same way when they are called first, but can
/// answer a mistake in [`ENV`] only by ending the process: call this before.
pub fn select(name: Option<&str>) -> Result<&'static str, SelectError> {
    let wanted = match name {
        Some(name) => Some(name.to_owned()),
        None => {
            if let Some(current) = in_use() {
                return Ok(current);
            }
            env::var_os(ENV)
                .map(|name| name.to_string_lossy().into_owned())
                .filter(|name| !name.is_empty())
        }
    };
    let status = match &wanted {
        // SAFETY: a null name is allowed and means the best.
        None => unsafe { ffi::ggml_sys_cpu_use(std::ptr::null()) },
        Some(wanted) => {
            let Ok(c_name) = CString::new(wanted.as_str()) else {
                return Err(SelectError::Unknown(wanted.clone()));
            };
            // SAFETY: the string ends in NUL and outlives the call, which does
            // not keep it.
            unsafe { ffi::ggml_sys_cpu_use(c_name.as_ptr()) }
        }
    };
    match (status, in_use(), wanted) {
        (ffi::OK, Some(current), _) | (ffi::IN_USE, Some(current), None) => Ok(current),
        (ffi::IN_USE, Some(current), Some(wanted)) => Err(SelectError::InUse { wanted, current }),
        (ffi::UNSUPPORTED, _, wanted) => Err(SelectError::Unsupported(wanted.unwrap_or_default())),
        (_, _, wanted) => Err(SelectError::Unknown(wanted.unwrap_or_default())),
    }
}

/// A static string of the C side.
fn text(pointer: *const c_char) -> Option<&'static str> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the names are string literals in the library.
    unsafe { CStr::from_ptr(pointer) }.to_str().ok()
}
