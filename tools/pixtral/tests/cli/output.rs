//! Output that cannot be written.

use super::support::{MODEL, assert_refused, pixtral, text};
use std::{
    fs::OpenOptions,
    io::Read,
    process::{Output, Stdio},
};

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_a_sentence() {
    let model = text(&MODEL);
    for args in [&["inspect", &model][..], &["tokenize", &model, "hello"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = pixtral(args).stdout(full).output().unwrap();
        assert_refused(&output, &["standard output", "the disk is full"]);
    }
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_ends_the_program_quietly() {
    let long = "word ".repeat(200_000);
    let mut child = pixtral(&["tokenize", &text(&MODEL), "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut first = [0; 1];
    let mut stdout = child.stdout.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut stdin, long.as_bytes()));
        stdout.read_exact(&mut first).unwrap();
    });
    drop(stdout);
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(141));
    assert_eq!(String::from_utf8_lossy(&stderr), "");
}
