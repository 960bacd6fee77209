//! Answers that must have a form.

use super::support::{
    MODEL, assert_refused, bundled, json, picture, run, run_with_input, stderr, stdout, text,
};
use serde_json::Value;
use std::{fs, path::PathBuf};
use tempfile::TempDir;

const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "green", "blue"]},
        "number of shapes": {"type": "integer", "minimum": 0, "maximum": 20}
    },
    "required": ["colour", "number of shapes"],
    "additionalProperties": false
}"#;

fn file(name: &str, content: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

#[test]
fn describe_answers_in_json_of_a_schema() {
    let (_folder, path) = file("schema.json", SCHEMA);
    let demo = text(&bundled("demo.png"));
    let answer: Value = json(&run(&["describe", &demo, "--schema", &text(&path)]));
    assert!(["red", "green", "blue"].contains(&answer["colour"].as_str().unwrap()));
    assert!(answer["number of shapes"].as_u64().unwrap() <= 20);
    assert_eq!(answer.as_object().unwrap().len(), 2);
}

#[test]
fn noise_becomes_json_by_a_schema_too() {
    let (_folder, path) = file("schema.json", SCHEMA);
    let args = [
        "describe",
        &text(&MODEL),
        &picture("i0.png"),
        "--schema",
        &text(&path),
        "--temperature",
        "1",
        "--seed",
        "3",
        "--json",
    ];
    let whole = json(&run(&args));
    assert_eq!(whole["finish"], "stop");
    assert!(whole["tokens"]["forced"].as_u64().unwrap() > 0);
    let answer: Value = serde_json::from_str(whole["text"].as_str().unwrap()).unwrap();
    assert!(answer["number of shapes"].is_u64());
}

#[test]
fn chat_answers_each_turn_by_a_pattern_and_by_a_grammar() {
    let input = b"Is it red?\nIs it blue?\n";
    let output = run_with_input(&["chat", "--regex", "(yes|no)!"], input);
    for line in stdout(&output).lines() {
        assert!(["yes!", "no!"].contains(&line), "{line}");
    }
    let (_folder, path) = file("sum.lark", "start: N (\"+\" N){1,3}\nN: /[1-9]/");
    let output = run_with_input(&["chat", "--grammar", &text(&path)], input);
    let sums = stdout(&output);
    assert_eq!(sums.lines().count(), 2, "{sums}");
    for line in sums.lines() {
        let terms: Vec<&str> = line.split('+').collect();
        assert!((2..=4).contains(&terms.len()), "{line}");
        assert!(terms.iter().all(|n| n.parse::<u8>().is_ok()), "{line}");
    }
}

#[test]
fn an_answer_that_is_cut_short_is_an_error() {
    let demo = text(&bundled("demo.png"));
    let output = run(&["describe", &demo, "--regex", "a{100}", "-n", "2"]);
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains("the answer is incomplete"), "{message}");
    assert!(message.contains("--max-tokens"), "{message}");
}

#[test]
fn constraints_that_are_none_are_refused() {
    let (folder, broken) = file("broken.json", "{\"type\": ");
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        text(&path)
    };
    let odd = write("odd.json", br#"{"type": "array", "uniqueItems": true}"#);
    let binary = write("binary.json", b"\xff\xfe");
    let grammar = write("odd.lark", b"start: word");
    let none = text(&folder.path().join("none.json"));
    for (option, value, expected) in [
        (
            "--schema",
            text(&broken),
            ["broken.json: is not JSON", "line 1"],
        ),
        ("--schema", none, ["none.json", "no such file"]),
        ("--schema", binary, ["binary.json", "not UTF-8"]),
        ("--schema", odd, ["odd.json", "uniqueItems"]),
        ("--grammar", grammar, ["odd.lark", "\"word\""]),
        (
            "--regex",
            "(a".to_owned(),
            ["regular expression", "unclosed group"],
        ),
    ] {
        let args = [
            "describe",
            &text(&MODEL),
            &picture("i0.png"),
            option,
            &value,
        ];
        assert_refused(&run(&args), &expected);
    }
}
