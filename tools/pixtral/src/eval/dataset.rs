//! Datasets: one JSON object a line, each with pictures, questions and expected answers.
//!
//! Reads and checks the lines, and keeps the reasons for those that cannot be used. It opens no
//! picture and knows no model. docs/EVAL.md describes the format.

use super::metrics::{Choices, Metric};
use pixtral::{Error, ErrorKind, Result};
use serde::Deserialize;
use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

/// Something to ask, and what to expect.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Line in the dataset, from 1.
    pub line: usize,
    /// Name of the entry, unique in the dataset.
    pub id: String,
    /// What it tests; results are summed up by it.
    pub kind: String,
    /// Pictures, shown with the first question.
    pub images: Vec<PathBuf>,
    /// Questions, in the order in which they are asked; at least one.
    pub turns: Vec<Turn>,
    /// Options, if it is a multiple choice.
    pub choices: Choices,
    /// How answers are scored.
    pub metric: Metric,
}

impl Entry {
    /// The mean score of `answers`, one for each turn.
    pub fn score(&self, answers: &[String]) -> f64 {
        let scores = self
            .turns
            .iter()
            .zip(answers)
            .map(|(turn, answer)| self.metric.score(answer, &turn.answers, &self.choices));
        scores.sum::<f64>() / self.turns.len() as f64
    }
}

/// A question and the answers that are right.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Turn {
    /// What is asked, sent as it is.
    pub question: String,
    /// Right answers, at least one.
    pub answers: Vec<String>,
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Line in the dataset, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Which entries are wanted, and how those that do not say are scored.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Metric of entries without one.
    pub metric: Metric,
    /// Only entries of this kind.
    pub kind: Option<String>,
    /// Only so many entries; lines after them are not read.
    pub limit: Option<usize>,
}

/// The entries wanted, and the lines that cannot be used.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Entries in the order of the file.
    pub entries: Vec<Entry>,
    /// Lines left out.
    pub broken: Vec<Broken>,
}

/// A line as it is written.
#[derive(Deserialize)]
struct Line {
    id: String,
    kind: String,
    images: Vec<PathBuf>,
    question: Option<String>,
    answers: Option<Vec<String>>,
    turns: Option<Vec<Turn>>,
    choices: Option<Vec<String>>,
    metric: Option<Metric>,
}

impl Dataset {
    /// Reads the file `path`. Paths of pictures are taken relative to its folder.
    ///
    /// Errors if the file cannot be read or nothing in it is wanted; lines that cannot be used
    /// are no error.
    pub fn read(path: &Path, selection: &Selection) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path, "read", e))?;
        // With a folder before it, a picture named `-` is a file and not standard input.
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut dataset = Self {
            entries: Vec::new(),
            broken: Vec::new(),
        };
        let mut lines_of_ids = HashMap::new();
        let mut kinds = Vec::new();
        for (i, bytes) in BufReader::new(file).split(b'\n').enumerate() {
            if selection
                .limit
                .is_some_and(|limit| dataset.entries.len() >= limit)
            {
                break;
            }
            let bytes = bytes.map_err(|e| Error::io(path, "read", e))?;
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let line = i + 1;
            let entry =
                parse(&bytes, line, folder, selection.metric).and_then(|entry| match lines_of_ids
                    .insert(entry.id.clone(), line)
                {
                    Some(before) => {
                        Err(format!("the `id` {:?} is taken by line {before}", entry.id))
                    }
                    None => Ok(entry),
                });
            match entry {
                Ok(entry)
                    if selection
                        .kind
                        .as_ref()
                        .is_none_or(|kind| *kind == entry.kind) =>
                {
                    dataset.entries.push(entry);
                }
                Ok(entry) if kinds.contains(&entry.kind) => {}
                Ok(entry) => kinds.push(entry.kind),
                Err(reason) => dataset.broken.push(Broken { line, reason }),
            }
        }
        if dataset.entries.is_empty() && dataset.broken.is_empty() {
            return Err(nothing_wanted(path, selection, &kinds));
        }
        Ok(dataset)
    }
}

fn nothing_wanted(path: &Path, selection: &Selection, kinds: &[String]) -> Error {
    let path = path.display();
    match &selection.kind {
        Some(kind) if !kinds.is_empty() => Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "{path}: no entry is of the kind {kind:?}; there are: {}",
                kinds.join(", ")
            ),
        ),
        _ => Error::new(
            ErrorKind::InvalidValue,
            format!("{path}: no entries, expected one JSON object a line"),
        ),
    }
}

fn parse(bytes: &[u8], line: usize, folder: &Path, metric: Metric) -> Result<Entry, String> {
    let written: Line = serde_json::from_slice(bytes).map_err(|e| without_line(&e))?;
    let turns = match (written.question, written.answers, written.turns) {
        (Some(question), Some(answers), None) => vec![Turn { question, answers }],
        (None, None, Some(turns)) => turns,
        (Some(_), None, None) => return Err("missing field `answers`".to_owned()),
        (None, Some(_), None) | (None, None, None) => {
            return Err("missing field `question` (or `turns`)".to_owned());
        }
        _ => return Err("`turns` cannot stand beside `question` or `answers`".to_owned()),
    };
    if turns.is_empty() {
        return Err("`turns` is empty".to_owned());
    }
    if turns.iter().any(|turn| turn.question.trim().is_empty()) {
        return Err("`question` is empty".to_owned());
    }
    if turns.iter().any(|turn| turn.answers.is_empty()) {
        return Err("`answers` is empty, expected at least one right answer".to_owned());
    }
    let choices = match &written.choices {
        Some(options) => Choices::parse(options)?,
        None => Choices::default(),
    };
    let metric = written.metric.unwrap_or(metric);
    if metric == Metric::Choice {
        if written.choices.is_none() {
            return Err("missing field `choices`, which the metric choice needs".to_owned());
        }
        let mut answers = turns.iter().flat_map(|turn| &turn.answers);
        if let Some(answer) = answers.find(|answer| choices.resolve(answer).is_none()) {
            return Err(format!("the answer {answer:?} is none of the `choices`"));
        }
    }
    Ok(Entry {
        line,
        id: written.id,
        kind: written.kind,
        images: written
            .images
            .iter()
            .map(|image| folder.join(image))
            .collect(),
        turns,
        choices,
        metric,
    })
}

/// The message of `error` with its column, if that says more, and without its line, always 1.
fn without_line(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.rsplit_once(" at line ") {
        Some((message, _)) if message.starts_with("missing field") => message.to_owned(),
        Some((message, _)) => format!("{message} (column {})", error.column()),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(text: &str, kind: Option<&str>, limit: Option<usize>) -> Result<Dataset> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.jsonl");
        fs::write(&path, text).unwrap();
        let selection = Selection {
            metric: Metric::Exact,
            kind: kind.map(str::to_owned),
            limit,
        };
        let mut dataset = Dataset::read(&path, &selection)?;
        for image in dataset
            .entries
            .iter_mut()
            .flat_map(|entry| &mut entry.images)
        {
            *image = image.strip_prefix(folder.path()).unwrap().to_owned();
        }
        Ok(dataset)
    }

    const COUNT: &str = r#"{"id": "a", "kind": "count", "images": ["img/1.png"], "question": "How many?", "answers": ["3"], "source": "x"}"#;
    const TALK: &str = r#"{"id": "b", "kind": "talk", "images": [], "turns": [{"question": "1+1?", "answers": ["2"]}, {"question": "+1?", "answers": ["3"]}], "metric": "relaxed"}"#;

    #[test]
    fn entries_have_one_question_or_several() {
        let dataset = read(&format!("{COUNT}\n\n{TALK}\r\n"), None, None).unwrap();
        assert!(dataset.broken.is_empty(), "{:?}", dataset.broken);
        let [count, talk] = &dataset.entries[..] else {
            panic!("{dataset:?}")
        };
        assert_eq!((count.line, count.metric), (1, Metric::Exact));
        assert_eq!(count.images, [Path::new("img/1.png")]);
        assert_eq!(
            (talk.line, talk.metric, talk.turns.len()),
            (3, Metric::Relaxed, 2)
        );
        assert_eq!(talk.score(&["2".to_owned(), "7".to_owned()]), 0.5);
    }

    #[test]
    fn broken_lines_are_named_and_the_others_kept() {
        let multiple = |answer: &str, rest: &str| {
            format!(
                r#"{{"id": "c", "kind": "k", "images": [], "question": "q", "answers": [{answer}], "metric": "choice"{rest}}}"#
            )
        };
        for (broken, reason) in [
            (
                "{\"id\": ".to_owned(),
                "EOF while parsing a value (column 7)",
            ),
            ("\u{ff}".to_owned(), "expected value (column 1)"),
            (
                COUNT.replace("\"a\"", "7"),
                "invalid type: integer `7`, expected a string (column 8)",
            ),
            (COUNT.replace("kind", "sort"), "missing field `kind`"),
            (
                COUNT.replace("question", "q"),
                "missing field `question` (or `turns`)",
            ),
            (COUNT.replace("answers", "a"), "missing field `answers`"),
            (
                COUNT.replace("[\"3\"]", "[]"),
                "`answers` is empty, expected at least one right answer",
            ),
            (COUNT.replace("How many?", " "), "`question` is empty"),
            (
                TALK.replace("\"b\"", "\"b\", \"question\": \"q\""),
                "`turns` cannot stand beside `question` or `answers`",
            ),
            (
                TALK.replace("relaxed", "bleu"),
                "unknown variant `bleu`, expected one of `exact`, `relaxed`, `anls`, `vqa`, `choice` (column 148)",
            ),
            (
                multiple("\"A\"", ""),
                "missing field `choices`, which the metric choice needs",
            ),
            (
                multiple("\"C\"", r#", "choices": ["x", "y"]"#),
                "the answer \"C\" is none of the `choices`",
            ),
            (
                multiple("\"A\"", r#", "choices": ["x"]"#),
                "`choices` has 1 options, expected 2 to 26",
            ),
            (COUNT.to_owned(), "the `id` \"a\" is taken by line 1"),
        ] {
            let dataset = read(&format!("{COUNT}\n{broken}\n{TALK}"), None, None).unwrap();
            let expected = Broken {
                line: 2,
                reason: reason.to_owned(),
            };
            assert_eq!(dataset.broken, [expected], "{broken}");
            assert_eq!(dataset.entries.len(), 2, "{broken}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_break_their_line_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.jsonl");
        let mut bytes = COUNT.replace("How", "H\u{1}w").into_bytes();
        let at = bytes.iter().position(|&b| b == 1).unwrap();
        bytes[at] = 0xff;
        bytes.extend(format!("\n{TALK}").bytes());
        fs::write(&path, bytes).unwrap();
        let selection = Selection {
            metric: Metric::Exact,
            kind: None,
            limit: None,
        };
        let dataset = Dataset::read(&path, &selection).unwrap();
        assert_eq!((dataset.entries.len(), dataset.broken.len()), (1, 1));
        assert_eq!(dataset.broken[0].line, 1);
    }

    #[test]
    fn entries_can_be_selected() {
        let text = format!("{COUNT}\n{TALK}\n{{");
        let ids = |kind, limit| {
            let entries = read(&text, kind, limit).unwrap().entries;
            entries
                .into_iter()
                .map(|entry| entry.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(None, None), ["a", "b"]);
        assert_eq!(ids(Some("talk"), None), ["b"]);
        assert_eq!(ids(None, Some(1)), ["a"]);
        assert!(read(&text, None, Some(1)).unwrap().broken.is_empty());
    }

    #[test]
    fn a_selection_of_nothing_is_an_error() {
        let e = read(&format!("{COUNT}\n{TALK}"), Some("cuont"), None).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::InvalidArgument);
        assert!(e.message().ends_with("there are: count, talk"), "{e}");
        assert_eq!(
            read("\n", None, None).unwrap_err().kind(),
            ErrorKind::InvalidValue
        );
    }
}
