//! Runs that go on where others have ended: `chat --session` and the cache of pictures. The model
//! is the demonstration model, whose answers show what it remembers.

use super::support::{
    MODEL, assert_refused, bundled, convert, json, pixtral, run, run_with_input, stderr, stdout,
    text,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

static DEMO: LazyLock<String> = LazyLock::new(|| text(&convert(&bundled(""), "q8_0", "restarts")));

/// The turns of a chat with `script`, as JSON, and what was said beside them.
#[track_caller]
fn chat(script: &str, options: &[&str]) -> (Vec<Value>, String) {
    // Whether drafts pay depends on the clock; what is compared here must not.
    let args = [&["chat", &DEMO, "--json", "--no-draft"], options].concat();
    let output = run_with_input(&args, script.as_bytes());
    let turns = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a turn"))
        .collect();
    (turns, stderr(&output))
}

fn texts(turns: &[Value]) -> Vec<&Value> {
    turns.iter().map(|turn| &turn["text"]).collect()
}

fn in_folder(folder: &tempfile::TempDir, name: &str) -> (PathBuf, String) {
    let path = folder.path().join(name);
    let name = text(&path);
    (path, name)
}

#[test]
fn a_second_run_goes_on_as_if_there_had_been_no_first_end() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = in_folder(&folder, "x.session");
    let image = text(&bundled("demo.png"));
    let first = format!("/image {image}\nHow many shapes are there?\n");
    let second = "What colour is the heart?\n";
    let third = format!("/image {}\nWhat is written?\n", text(&bundled("sign.png")));

    let (whole, said) = chat(&format!("{first}{second}{third}"), &[]);
    assert!(!said.contains("going on"), "{said}");
    let mut parts = Vec::new();
    for (i, script) in [first.as_str(), second, &third].into_iter().enumerate() {
        let (turns, said) = chat(script, &["--session", &file]);
        let expected = format!("going on with {file}: {} messages, ", 2 * i);
        assert_eq!(said.contains(&expected), i > 0, "{said}");
        parts.extend(turns);
    }
    assert_eq!(texts(&parts), texts(&whole));
    for (part, whole) in parts.iter().zip(&whole) {
        assert_eq!(part["tokens"], whole["tokens"]);
        assert_eq!(part["images"], whole["images"]);
    }
    assert_eq!(parts[1]["images"]["encoded"], 0);
    assert!(parts[1]["tokens"]["reused"].as_u64().unwrap() > 0);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{path:?} only");
}

#[test]
fn the_system_message_is_kept_unless_another_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = in_folder(&folder, "x.session");
    let (other_path, other_file) = in_folder(&folder, "y.session");
    let prompt = |turn: &Value| turn["tokens"]["prompt"].clone();
    let system = ["--system", "Answer in one short sentence, please."];
    let (whole, _) = chat("Hello\nAnd now?\n", &system);
    chat("Hello\n", &[&["--session", &file], &system[..]].concat());
    fs::copy(path, other_path).unwrap();
    let (kept, _) = chat("And now?\n", &["--session", &file]);
    assert_eq!(prompt(&kept[0]), prompt(&whole[1]));
    let (other, _) = chat("And now?\n", &["--session", &other_file, "--system", "Hm."]);
    assert_ne!(prompt(&other[0]), prompt(&whole[1]));
}

#[test]
fn a_reset_empties_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = in_folder(&folder, "x.session");
    chat("Hello\n", &["--session", &file]);
    let full = fs::metadata(&path).unwrap().len();
    let (_, said) = chat("/reset\n", &["--session", &file]);
    assert!(said.contains("2 messages"), "{said}");
    assert!(fs::metadata(&path).unwrap().len() < full);
    let (_, said) = chat("/quit\n", &["--session", &file]);
    assert!(said.contains("0 messages, 0 tokens"), "{said}");
}

#[test]
fn a_file_that_cannot_be_continued_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = in_folder(&folder, "x.session");
    chat("Hello\n", &["--session", &file]);
    let refused = |model: &Path, options: &[&str], expected: &[&str]| {
        let before = fs::read(&path).unwrap();
        let model = text(model);
        let args = [&["chat", &model, "--session", &file], options].concat();
        assert_refused(&run_with_input(&args, b"Hello\n"), expected);
        assert_eq!(fs::read(&path).unwrap(), before);
    };
    let demo = Path::new(DEMO.as_str());
    refused(&MODEL, &[], &["x.session", "another model"]);
    refused(demo, &["--kv-type", "f32"], &["x.session", "f16"]);
    refused(demo, &["--ctx", "2"], &["x.session", "larger context"]);

    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, &bytes).unwrap();
    refused(demo, &[], &["x.session", "damaged"]);
    fs::write(&path, "my notes").unwrap();
    refused(demo, &[], &["x.session", "is not a session file"]);
}

#[test]
fn a_place_that_cannot_be_written_is_refused_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (_, file) = in_folder(&folder, "no/such/folder/x.session");
    let output = run_with_input(&["chat", &DEMO, "--session", &file], b"Hello\n");
    assert_refused(&output, &["no such file or folder"]);
    assert!(output.stdout.is_empty());
}

#[test]
fn a_picture_is_encoded_once_for_all_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, cache_name) = in_folder(&folder, "cache");
    let image = text(&bundled("chart.png"));
    let encoded = |options: &[&str]| {
        let args = [&["describe", &DEMO, &image, "--json"], options].concat();
        json(&run(&args))["images"]["encoded"].clone()
    };
    assert_eq!(encoded(&["--cache-dir", &cache_name]), 1);
    assert_eq!(encoded(&["--cache-dir", &cache_name]), 0);
    assert_eq!(encoded(&["--no-cache"]), 1);
    assert_eq!(fs::read_dir(cache).unwrap().count(), 1);
}

#[test]
#[cfg(unix)]
fn the_cache_is_in_the_users_cache_folder() {
    let folder = tempfile::tempdir().unwrap();
    let image = text(&bundled("chart.png"));
    let encoded = || {
        let output = pixtral(&["describe", &DEMO, &image, "--json"])
            .env("XDG_CACHE_HOME", folder.path())
            .output()
            .unwrap();
        json(&output)["images"]["encoded"].clone()
    };
    assert_eq!((encoded(), encoded()), (1.into(), 0.into()));
    assert!(folder.path().join("pixtral").is_dir());
}
