//! A process can use only one build of the CPU kernels, so tests of all of them
//! start their program again with a variable set and look at the outcome.
#![allow(dead_code, reason = "each test program uses a part of this")]

use std::env;
use std::process::{Command, Output};

use ggml_sys::cpu;

/// Names the emulator that runs this program, if one does: a program cannot tell.
const RUNNER: &str = "GGML_SYS_TEST_RUNNER";

/// Runs one test of this program in a process of its own, in a build of the CPU
/// kernels.
pub fn rerun(test: &str, variant: &str) -> Output {
    rerun_with(test, cpu::ENV, variant)
}

/// Runs one test of this program in a process of its own, with an environment
/// variable set.
pub fn rerun_with(test: &str, variable: &str, value: &str) -> Output {
    let program = env::current_exe().expect("the test's own path");
    let mut command = match env::var_os(RUNNER) {
        Some(runner) => {
            let mut command = Command::new(runner);
            command.arg(program);
            command
        }
        None => Command::new(program),
    };
    command
        .args(["--exact", test, "--nocapture"])
        .env(variable, value)
        .env("GGML_NO_BACKTRACE", "1")
        .output()
        .expect("the test program starts")
}

/// Runs one test of this program in a build of the CPU kernels and expects it to
/// pass.
pub fn assert_passes(test: &str, variant: &str) {
    let output = rerun(test, variant);
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{variant}: {}\n{}",
        said(&output.stdout),
        said(&output.stderr)
    );
}
