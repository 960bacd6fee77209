//! `pixtral describe`.

use super::support::{MODEL, bundled, json, picture, run, run_with_input, stderr, stdout, text};

#[test]
fn an_answer_goes_to_standard_output_and_the_timing_line_to_standard_error() {
    let output = run(&["describe", &text(&MODEL), &picture("i0.png"), "-n", "8"]);
    assert!(stdout(&output).ends_with('\n'));
    let timing = stderr(&output);
    assert_eq!(timing.lines().count(), 1, "{timing}");
    for part in ["1 picture in ", " tokens read in ", "8 generated in "] {
        assert!(timing.contains(part), "{timing}");
    }
}

#[test]
fn json_holds_the_answer_with_its_counts_and_times() {
    let (a, b) = (picture("i0.png"), picture("i1.png"));
    let args = [
        "describe",
        &text(&MODEL),
        &a,
        &b,
        "-p",
        "What changed?",
        "-n",
        "5",
        "--json",
    ];
    let output = run(&args);
    let answer = json(&output);
    assert_eq!(answer["images"]["count"], 2);
    assert_eq!(answer["images"]["encoded"], 2);
    assert_eq!(answer["tokens"]["generated"], 5);
    assert_eq!(answer["finish"], "length");
    assert!(answer["seconds"]["decode"].as_f64().unwrap() > 0.0);
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_picture_on_standard_input_is_the_same_as_in_a_file() {
    let path = picture("i2.png");
    let by_path = run(&["describe", &text(&MODEL), &path, "-n", "12", "--no-draft"]);
    let bytes = std::fs::read(&path).unwrap();
    let by_pipe = run_with_input(
        &["describe", &text(&MODEL), "-", "-n", "12", "--no-draft"],
        &bytes,
    );
    assert_eq!(stdout(&by_path), stdout(&by_pipe));
}

#[test]
fn a_seed_makes_a_random_answer_repeatable() {
    let ask = |seed| {
        let args = [
            "describe",
            &text(&MODEL),
            &picture("i0.png"),
            "-n",
            "12",
            "--no-draft",
            "--temperature",
            "1.5",
            "--seed",
            seed,
        ];
        stdout(&run(&args))
    };
    assert_eq!(ask("1"), ask("1"));
    assert_ne!(ask("1"), ask("2"));
}

/// On the trained model: batches round differently, and random weights have nearer ties.
#[test]
fn without_drafts_the_answer_is_the_same() {
    let ask = |extra: &[&str]| {
        let args = [
            "describe",
            &text(&bundled("demo.png")),
            "-n",
            "24",
            "--json",
        ];
        json(&run(&[&args, extra].concat()))
    };
    let (drafting, plain) = (ask(&[]), ask(&["--no-draft"]));
    assert_eq!(drafting["text"], plain["text"]);
    assert_eq!(plain["tokens"]["drafted"], 0);
    assert!(drafting["tokens"]["accepted"].is_u64());
}

#[test]
fn a_token_budget_makes_pictures_smaller() {
    let tokens = |budget: &[&str]| {
        let args = [
            "describe",
            &text(&MODEL),
            &picture("i0.png"),
            "-n",
            "1",
            "--json",
        ];
        json(&run(&[&args, budget].concat()))["tokens"]["prompt"]
            .as_u64()
            .unwrap()
    };
    assert!(tokens(&["--max-image-tokens", "12"]) < tokens(&[]));
}

#[test]
fn a_picture_of_one_pixel_is_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1x1.png");
    image::RgbImage::new(1, 1).save(&path).unwrap();
    let output = run(&["describe", &text(&MODEL), &text(&path), "-n", "1", "--json"]);
    assert_eq!(json(&output)["images"]["count"], 1);
}

#[test]
fn a_full_context_is_an_error_and_never_silent() {
    let output = run(&["describe", &text(&MODEL), &picture("i0.png"), "--ctx", "16"]);
    super::support::assert_refused(&output, &["the context holds 16", "larger context"]);

    let prompt = json(&run(&[
        "describe",
        &text(&MODEL),
        &picture("i0.png"),
        "-n",
        "1",
        "--json",
    ]));
    let room = prompt["tokens"]["prompt"].as_u64().unwrap() + 3;
    let output = run(&[
        "describe",
        &text(&MODEL),
        &picture("i0.png"),
        "--ctx",
        &room.to_string(),
        "-n",
        "50",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("the answer is incomplete"),
        "{}",
        stderr(&output)
    );
}
