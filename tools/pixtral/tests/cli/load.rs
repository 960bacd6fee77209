//! Where weights are read from: `--load`.

use super::support::{MODEL, json, picture, run, stderr, stdout, text};

fn describe(extra: &[&str]) -> std::process::Output {
    let model = text(&MODEL);
    let picture = picture("i0.png");
    let args = ["describe", &model, &picture, "-n", "12", "--no-draft"];
    run(&[&args, extra].concat())
}

#[test]
fn the_answer_does_not_depend_on_how_the_model_is_loaded() {
    let expected = stdout(&describe(&[]));
    for mode in ["auto", "mmap", "copy"] {
        assert_eq!(stdout(&describe(&["--load", mode])), expected, "{mode}");
    }
}

#[test]
fn a_mode_that_is_none_is_a_usage_error_that_lists_them() {
    let output = describe(&["--load", "disk"]);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(message.contains("auto, mmap or copy"), "{message}");
}

#[test]
fn what_was_chosen_is_said_when_asked_for_and_in_reports() {
    let said = stderr(&describe(&["--load", "copy", "--verbose"]));
    assert!(said.contains("weights by copy: as asked"), "{said}");
    assert!(said.contains("for keys and values"), "{said}");

    let shown = stdout(&run(&["inspect", &text(&MODEL)]));
    assert!(shown.contains("loaded here by mmap: "), "{shown}");
    let report = json(&run(&["inspect", &text(&MODEL), "--json"]));
    assert_eq!(report["load"]["mode"], "mmap");
    assert!(report["load"]["reason"].is_string());
}
