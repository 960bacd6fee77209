//! `serve`: what is said when it starts and when it cannot, and how it ends. What it answers is tested in
//! tools/server.

use super::support::{MODEL, assert_refused, golden, pixtral, run, text};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
};

#[test]
#[cfg(unix)]
fn it_says_where_it_listens_answers_and_ends_well() {
    let model = text(&MODEL);
    let args = [
        "serve",
        &model,
        "--port",
        "0",
        "--ctx",
        "256",
        "--parallel",
        "2",
    ];
    let mut child = pixtral(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line.strip_prefix("listening at http://").unwrap();
    assert!(
        address.ends_with("/ (2 answers at once, 256 tokens each)\n"),
        "{line}"
    );
    let mut connection = TcpStream::connect(address.split('/').next().unwrap()).unwrap();
    connection
        .write_all(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.contains("\"id\":\"golden-q8_0\""), "{response}");
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(log.contains(" GET /v1/models 200 "), "{log}");
}

#[test]
fn it_says_why_it_cannot_start() {
    let model = text(&MODEL);
    let start = |args: &[&str]| run(&[&["serve", &model, "--port", "0"], args].concat());
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::write(&keys, "\n \n").unwrap();
    assert_refused(
        &start(&["--api-key-file", &text(&keys)]),
        &["keys: has no keys"],
    );
    assert_refused(&start(&["--api-key", ""]), &["--api-key", "empty"]);
    let file = text(&golden("README.md"));
    assert_refused(&start(&["--allow-images-in", &file]), &["is no folder"]);
    let ctx = &["--ctx", "100000000"];
    assert_refused(&start(ctx), &["100000000"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&["serve", &model, "--port", &port]);
    assert_refused(&output, &["127.0.0.1:", &port, "listen at"]);
}
