//! Which of the compiled CPU variants runs on this machine.

/// Name of the instruction-set variant that was chosen at start, e.g. `avx512`.
pub fn cpu_variant() -> &'static str {
    "native"
}
