//! `pixtral chat` from a pipe; what a person types goes the same way.

use super::support::{MODEL, assert_refused, picture, run_with_input, stderr, stdout, text};
use serde_json::Value;

fn turns(script: &str) -> Vec<Value> {
    let output = run_with_input(
        &["chat", &text(&MODEL), "-n", "6", "--no-draft", "--json"],
        script.as_bytes(),
    );
    let lines = stdout(&output);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a turn"))
        .collect()
}

#[test]
fn later_turns_go_on_from_what_was_read_before() {
    let image = picture("i0.png");
    let answers = turns(&format!("/image {image}\nWhat is this?\nAnd the colour?\n"));
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["images"]["encoded"], 1);
    assert_eq!(answers[1]["images"]["count"], 1);
    assert_eq!(answers[1]["images"]["encoded"], 0, "the picture is known");
    let reused = answers[1]["tokens"]["reused"].as_u64().unwrap();
    assert!(reused >= answers[0]["tokens"]["prompt"].as_u64().unwrap() - 1);
}

#[test]
fn a_reset_conversation_answers_like_a_new_one() {
    let question = "Is this a test?";
    let answers = turns(&format!("Hello\n/reset\n{question}\n"));
    let alone = turns(&format!("{question}\n"));
    assert_eq!(answers[1]["text"], alone[0]["text"]);
    assert_eq!(answers[1]["tokens"]["prompt"], alone[0]["tokens"]["prompt"]);
}

#[test]
fn a_line_that_ends_in_a_backslash_goes_on() {
    let one = turns("two\\\nlines\n");
    assert_eq!(one.len(), 1);
    assert_ne!(turns("two lines\n")[0]["tokens"]["prompt"], Value::Null);
}

#[test]
fn several_pictures_wait_for_the_message_that_follows() {
    let (a, b) = (picture("i0.png"), picture("i1.png"));
    let answers = turns(&format!(
        "/image {a}\n/image '{b}'\nCompare.\n/quit\nnever said\n"
    ));
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0]["images"]["count"], 2);
}

#[test]
fn a_mistake_in_a_script_ends_it_with_a_sentence() {
    let args = ["chat", &text(&MODEL)];
    let output = run_with_input(&args, b"/image no-such.png\nHello\n");
    assert_refused(&output, &["no-such.png: no such file"]);
    let output = run_with_input(&args, b"/imgae x.png\n");
    assert_refused(&output, &["no command /imgae"]);
}

#[test]
fn an_answer_without_text_does_not_end_the_conversation() {
    let output = run_with_input(
        &["chat", &text(&MODEL), "-n", "0", "--json"],
        b"Hello\nHello\n",
    );
    let answers = stdout(&output);
    assert_eq!(answers.lines().count(), 2, "{answers}");
    assert!(answers.contains("\"text\":\"\""), "{answers}");
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let output = run_with_input(&["chat", &text(&MODEL)], b"caf\xe9\n");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("UTF-8"), "{}", stderr(&output));
}
