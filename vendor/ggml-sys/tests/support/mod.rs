//! A process can use only one build of the CPU kernels, so tests of all of them
//! start their program again with the override set and look at the outcome.

use std::env;
use std::process::{Command, Output};

use ggml_sys::cpu;

/// Names the emulator that runs this program, if one does: a program cannot tell.
const RUNNER: &str = "GGML_SYS_TEST_RUNNER";

/// Runs one test of this program in a process of its own.
pub fn rerun(test: &str, variant: &str) -> Output {
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
        .env(cpu::ENV, variant)
        .env("GGML_NO_BACKTRACE", "1")
        .output()
        .expect("the test program starts")
}

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
