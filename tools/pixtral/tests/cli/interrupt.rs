//! Ctrl-C.

use super::support::{MODEL, picture, pixtral, text};
use std::{
    io::Read,
    process::{Command, Stdio},
};

#[test]
#[cfg(unix)]
fn ctrl_c_ends_an_answer_with_code_130() {
    let mut child = pixtral(&[
        "describe",
        &text(&MODEL),
        &picture("i0.png"),
        "-n",
        "1000000",
        "--temperature",
        "2",
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    // The answer has begun.
    let mut first = [0; 1];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(
        message.contains("interrupted: the answer is incomplete"),
        "{message}"
    );
}
