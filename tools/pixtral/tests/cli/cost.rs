//! What is said before a long reading.

use super::support::{MODEL, json, picture, run, stderr, stdout, text};
use pixtral::{
    runtime::{Model, Rates},
    session::{Session, SessionOptions},
};
use std::path::Path;

/// Makes runs that keep their results in `folder` believe that a token takes this long.
fn believe(folder: &Path, seconds_per_token: f64) {
    let options = SessionOptions {
        image_cache_dir: Some(folder.to_owned()),
        ..SessionOptions::default()
    };
    let mut session = Session::new(Model::open(&*MODEL).unwrap(), options).unwrap();
    session.set_rates(Rates {
        patch: 0.0,
        patch_pair: 0.0,
        token: seconds_per_token,
        token_pair: 0.0,
    });
}

fn describe(folder: &Path, extra: &[&str]) -> std::process::Output {
    let (model, picture) = (text(&MODEL), picture("square.png"));
    let cache = text(folder);
    let args = [
        "describe",
        &model,
        &picture,
        "-n",
        "2",
        "--cache-dir",
        &cache,
    ];
    run(&[&args, extra].concat())
}

#[test]
fn a_long_reading_is_announced_with_its_cost_and_a_cheaper_way() {
    let folder = tempfile::tempdir().unwrap();
    believe(folder.path(), 1.0);
    let output = describe(folder.path(), &[]);
    stdout(&output);
    let notes = stderr(&output);
    let first = notes.lines().next().unwrap_or_default();
    assert_eq!(first, "272 image tokens, about 5 min", "{notes}");
}

#[test]
fn a_short_reading_and_one_for_a_program_are_not_announced() {
    let folder = tempfile::tempdir().unwrap();
    believe(folder.path(), 1e-6);
    let notes = stderr(&describe(folder.path(), &[]));
    assert_eq!(notes.lines().count(), 1, "{notes}");
    believe(folder.path(), 1.0);
    let output = describe(folder.path(), &["--json"]);
    assert_eq!(json(&output)["images"]["count"], 1);
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_machine_that_is_not_known_is_measured_and_remembered() {
    let folder = tempfile::tempdir().unwrap();
    stdout(&describe(folder.path(), &[]));
    let entries = std::fs::read_dir(folder.path()).unwrap().flatten();
    let kept = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "rates"));
    assert_eq!(kept.count(), 1);
}
