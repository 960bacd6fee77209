//! `pixtral eval` as a program, on a model of random weights: what it answers is nonsense, and
//! always the same.

use super::support::MODEL;
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

/// A folder with a dataset `set.jsonl` and a picture `dot.png`.
struct Place(tempfile::TempDir);

impl Place {
    fn new(lines: &[Value]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let text: Vec<String> = lines.iter().map(Value::to_string).collect();
        place.write("set.jsonl", &text.join("\n"));
        let dot = image::RgbImage::from_fn(40, 24, |x, _| image::Rgb([x as u8 * 6, 90, 200]));
        dot.save(place.path("dot.png")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The lines of the file `name` after the first.
    fn answers(&self, name: &str) -> Vec<Value> {
        let text = self.read(name);
        let lines = text.lines().skip(1);
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pixtral"));
        command.current_dir(self.0.path()).arg("eval").arg(&*MODEL);
        command.args(["set.jsonl", "--threads", "1", "--ctx", "512"]);
        command.args(args.split_whitespace());
        command
    }

    fn run(&self, args: &str) -> Outcome {
        Outcome::from(self.command(args).output().unwrap())
    }
}

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Outcome {
    /// What a run that succeeds prints.
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        // Without a terminal there is no progress bar to clutter logs.
        assert_eq!(self.stderr, "");
        self.stdout
    }

    /// What a run that fails says.
    #[track_caller]
    fn error(self) -> String {
        assert_eq!(self.code, Some(1), "{}", self.stderr);
        self.stderr
    }
}

fn look(id: &str, answer: &str) -> Value {
    json!({"id": id, "kind": "look", "images": ["dot.png"], "question": "What is it?",
           "answers": [answer]})
}

fn talk(id: &str) -> Value {
    json!({"id": id, "kind": "talk", "images": [], "metric": "anls",
           "turns": [{"question": "Who?", "answers": ["x"]}, {"question": "Why?", "answers": ["y"]}]})
}

#[test]
fn answers_are_scored_and_written_down() {
    let place = Place::new(&[look("a", "?"), talk("b")]);
    place.run("-n 6 --answers first.jsonl").ok();
    let first = place.answers("first.jsonl");
    assert_eq!(
        (&first[0]["id"], &first[1]["id"]),
        (&json!("a"), &json!("b"))
    );
    assert_eq!(first[1]["answers"].as_array().unwrap().len(), 2);

    // With its own answer expected, the first entry is right.
    let answer = first[0]["answer"].as_str().unwrap();
    let place = Place::new(&[look("a", answer), look("c", "?"), talk("b")]);
    let table = place.run("-n 6 --csv table.csv --answers again.jsonl").ok();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(rows[1][..4], ["look", "2", "50.0", "%"]);
    assert_eq!(rows[2][..2], ["talk", "1"]);
    assert_eq!(rows[3][..2], ["all", "3"]);
    let again = place.answers("again.jsonl");
    assert_eq!(
        (&again[0]["score"], &again[1]["score"]),
        (&json!(1.0), &json!(0.0))
    );
    // Entries do not see each other: the same question has the same answer wherever it stands.
    assert_eq!(again[0]["answer"], again[1]["answer"]);
    assert_eq!(again[2]["answers"], first[1]["answers"]);

    let mut csv = csv::Reader::from_path(place.path("table.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!((&rows[0][1], &rows[0][4], &rows[0][7]), ("a", "1", answer));
}

#[test]
fn json_sums_up_the_selection() {
    let place = Place::new(&[look("a", "?"), talk("b"), look("c", "?"), look("d", "?")]);
    let printed = place.run("-n 2 --json --kind look --limit 2").ok();
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(report["entries"], 2);
    assert_eq!(report["skipped"], 0);
    assert_eq!(report["kinds"]["look"]["entries"], 2);
    assert_eq!(report["settings"]["max_tokens"], 2);
}

#[test]
fn what_cannot_be_used_is_named_and_the_run_goes_on() {
    let place = Place::new(&[]);
    place.write("bad.png", "not a picture");
    let with_image = |id: &str, image: &str| {
        let mut entry = look(id, "?");
        entry["images"] = json!([image]);
        entry
    };
    let mut long = look("e", "?");
    long["question"] = json!("again and again ".repeat(500));
    let lines = [
        look("a", "?").to_string(),
        "{\"id\": ".to_owned(),
        json!({"id": "b", "images": []}).to_string(),
        with_image("c", "gone.png").to_string(),
        with_image("d", "bad.png").to_string(),
        with_image("g", "-").to_string(),
        long.to_string(),
        look("f", "?").to_string(),
    ];
    place.write("set.jsonl", &lines.join("\n"));
    let outcome = place.run("-n 2 --answers a.jsonl");
    assert!(
        outcome.stdout.contains("all         2"),
        "{}",
        outcome.stdout
    );
    let stderr = outcome.error();
    let said: Vec<&str> = stderr.lines().collect();
    for (line, part) in said.iter().zip([
        "set.jsonl:2: EOF while parsing",
        "set.jsonl:3: missing field `kind`",
        "set.jsonl:4: ./gone.png: no such file",
        "set.jsonl:5: ./bad.png: ",
        "set.jsonl:6: ./-: no such file",
        "set.jsonl:7: ",
        "error: set.jsonl: 6 of 8 lines were skipped",
    ]) {
        assert!(line.starts_with(part), "{line:?} is not {part:?}");
    }
    assert_eq!(said.len(), 7, "{stderr}");
    assert_eq!(place.answers("a.jsonl").len(), 2);
}

#[test]
fn a_run_is_resumed_only_with_what_it_began_with() {
    let place = Place::new(&[look("a", "?"), talk("b")]);
    place.run("-n 2 --answers a.jsonl --limit 1").ok();
    assert!(
        place
            .run("-n 2 --answers a.jsonl")
            .error()
            .contains("--resume")
    );
    let error = place.run("-n 3 --answers a.jsonl --resume").error();
    assert!(error.contains("come from max_tokens 2, not 3"), "{error}");

    // An answer that only the file can have given: the entry is not asked again.
    let told = place
        .read("a.jsonl")
        .replace("\"answer\":\"", "\"answer\":\"as told ");
    place.write("a.jsonl", &told);
    place
        .run("-n 2 --answers a.jsonl --resume --csv t.csv")
        .ok();
    let answers = place.answers("a.jsonl");
    assert_eq!(answers.len(), 2);
    assert!(
        answers[0]["answer"]
            .as_str()
            .unwrap()
            .starts_with("as told ")
    );
    assert!(place.read("t.csv").contains("as told "));
}

#[test]
fn numbers_that_binary_cannot_hold_are_the_same_when_resumed() {
    let place = Place::new(&[talk("a"), talk("b")]);
    let args = "-n 2 --temperature 0.7 --top-p 0.9 --seed 1 --answers a.jsonl";
    place.run(&format!("{args} --limit 1")).ok();
    place.run(&format!("{args} --resume")).ok();
    assert!(place.read("a.jsonl").contains("\"temperature\":0.7,"));
    assert_eq!(place.answers("a.jsonl").len(), 2);
}

#[test]
#[cfg(unix)]
fn ctrl_c_keeps_what_is_done() {
    let entries: Vec<Value> = (0..400).map(|i| look(&i.to_string(), "?")).collect();
    let place = Place::new(&entries);
    let child = place
        .command("-n 200 --answers a.jsonl")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let is_answered = || place.path("a.jsonl").exists() && !place.answers("a.jsonl").is_empty();
    while !is_answered() {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "no answer came"
        );
        thread::sleep(Duration::from_millis(10));
    }
    let kill = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    let n = place.answers("a.jsonl").len();
    let hint =
        format!("{n} of 400 entries are answered in a.jsonl: the same command with --resume");
    assert!(outcome.stderr.contains(&hint), "{}", outcome.stderr);

    let limit = n + 1;
    place
        .run(&format!(
            "-n 200 --answers a.jsonl --resume --limit {limit}"
        ))
        .ok();
    assert_eq!(place.answers("a.jsonl").len(), limit);
}
