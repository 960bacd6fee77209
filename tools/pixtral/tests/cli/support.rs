//! Running the program, and the files it is run on.

use pixtral::{
    checkpoint::Checkpoint,
    quantize::{Event, QuantizeOptions, Recipe, quantize},
};
use std::{
    io::Write,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

/// The golden checkpoint as a q8_0 file.
pub static MODEL: LazyLock<PathBuf> =
    LazyLock::new(|| convert(&golden("checkpoint/mistral"), "q8_0", "golden"));

/// The checkpoint in `folder` converted by the recipe `recipe`, as a file called after both.
pub fn convert(folder: &Path, recipe: &str, name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{recipe}.gguf"));
    let checkpoint = Checkpoint::open(folder).unwrap();
    let recipe: Recipe = recipe.parse().unwrap();
    let options = QuantizeOptions {
        overwrite: true,
        ..QuantizeOptions::default()
    };
    let mut silent = |_: &Event| ControlFlow::Continue(());
    quantize(&checkpoint, &path, &recipe, &options, &mut silent).unwrap();
    path
}

/// A file that is bundled with the program.
pub fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("demo")
        .join(name)
}

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

/// The program with `args`. What other runs have computed does not reach it: the user's cache folder
/// would lie beneath a file.
pub fn pixtral(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pixtral"));
    command
        .args(args)
        .stdin(Stdio::null())
        .env("XDG_CACHE_HOME", golden("README.md"));
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
