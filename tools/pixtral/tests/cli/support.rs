//! Running the program, and the files it is run on.

use pixtral::{
    checkpoint::Checkpoint,
    quantize::{QuantizeOptions, Recipe, quantize},
};
use std::{
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

/// The golden checkpoint as a q8_0 file.
pub static MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden-q8_0.gguf");
    let checkpoint = Checkpoint::open(&golden("checkpoint/mistral")).unwrap();
    let recipe: Recipe = "q8_0".parse().unwrap();
    let options = QuantizeOptions {
        overwrite: true,
        ..QuantizeOptions::default()
    };
    quantize(&checkpoint, &path, &recipe, &options, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    path
});

/// A file of the golden set.
pub fn golden(name: &str) -> PathBuf {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/golden");
    Path::new(data).join(name)
}

/// A picture of the golden set.
pub fn picture(name: &str) -> String {
    text(&golden("images").join(name))
}

/// A path as text.
pub fn text(path: &Path) -> String {
    path.to_str().expect("the path is UTF-8").to_owned()
}

/// The program with `args`.
pub fn pixtral(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pixtral"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub fn run(args: &[&str]) -> Output {
    pixtral(args).output().expect("the program starts")
}

/// Runs the program with `input` on its standard input.
pub fn run_with_input(args: &[&str], input: &[u8]) -> Output {
    let mut child = pixtral(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    // A program that refuses its arguments does not read.
    _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

/// Standard output of a run that must have succeeded.
#[track_caller]
pub fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).expect("the output is UTF-8")
}

/// Standard output of a successful run, as JSON.
#[track_caller]
pub fn json(output: &Output) -> serde_json::Value {
    serde_json::from_str(&stdout(output)).expect("the output is JSON")
}

/// Standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Checks that a run failed with exit code 1 and one sentence that contains each of `expected`.
#[track_caller]
pub fn assert_refused(output: &Output, expected: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with("error: "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    for part in expected {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
}
