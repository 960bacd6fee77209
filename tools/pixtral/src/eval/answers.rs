//! The file of answers: what a run has done, written line by line, so that another can go on.
//!
//! Its first line says which model, dataset and settings the answers come from; going on with
//! others is refused. It knows nothing of how answers are made or scored.

use pixtral::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// What answers depend on: the first line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The model file.
    pub model: ModelId,
    /// Name of the dataset's file.
    pub dataset: String,
    /// Everything else that changes answers, by name.
    pub settings: Map<String, Value>,
}

/// Which model file it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelId {
    /// Name of the file, for people: renaming it does not make it another.
    pub file: String,
    /// Checksum of its header, which holds the checksums of all tensors.
    pub xxh3: String,
}

/// The other lines.
#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    #[serde(flatten)]
    answer: OneOrMore,
    score: f64,
}

/// Answers to a single question, or to each of several.
#[derive(Serialize, Deserialize)]
enum OneOrMore {
    #[serde(rename = "answer")]
    One(String),
    #[serde(rename = "answers")]
    More(Vec<String>),
}

/// The file, open for more.
pub struct Answers {
    path: PathBuf,
    file: File,
    known: HashMap<String, Vec<String>>,
}

impl Answers {
    /// Creates the file `path`, or opens the one that is there if `resume` allows it.
    ///
    /// Errors if there is one and `resume` is not set, if its answers are not from `origin`, or
    /// if it is not a file of answers.
    pub fn open(path: &Path, resume: bool, origin: &Origin) -> Result<Self> {
        let created = OpenOptions::new().write(true).create_new(true).open(path);
        let (file, is_new) = match created {
            Ok(file) => (file, true),
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io(path, "create", e));
            }
            Err(_) if !resume => {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!(
                        "{}: there is such a file already; add --resume to go on after its \
                         answers, or name another",
                        path.display()
                    ),
                ));
            }
            Err(_) => {
                let file = OpenOptions::new().read(true).write(true).open(path);
                (file.map_err(|e| Error::io(path, "open", e))?, false)
            }
        };
        let mut answers = Self {
            path: path.to_owned(),
            file,
            known: HashMap::new(),
        };
        match is_new {
            true => answers.write(origin)?,
            false => answers.read(origin)?,
        }
        Ok(answers)
    }

    /// The answers that the file already had for the entry `id`.
    pub fn known(&self, id: &str) -> Option<&[String]> {
        self.known.get(id).map(Vec::as_slice)
    }

    /// Adds a line for the entry `id`.
    pub fn add(&mut self, id: &str, answers: &[String], score: f64) -> Result<()> {
        let answer = match answers {
            [answer] => OneOrMore::One(answer.clone()),
            _ => OneOrMore::More(answers.to_vec()),
        };
        self.write(&Line {
            id: id.to_owned(),
            answer,
            score,
        })
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        // One call for the whole line: a process that is killed leaves no half of it.
        serde_json::to_vec(line)
            .map_err(io::Error::from)
            .and_then(|mut bytes| {
                bytes.push(b'\n');
                self.file.write_all(&bytes)
            })
            .map_err(|e| Error::io(&self.path, "write", e))
    }

    /// Reads what is there and leaves the file ready for more. A last line that was not finished
    /// (the disk was full, the power failed) is cut off.
    fn read(&mut self, origin: &Origin) -> Result<()> {
        let mut bytes = Vec::new();
        self.file
            .read_to_end(&mut bytes)
            .map_err(|e| Error::io(&self.path, "read", e))?;
        let whole = bytes
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(0, |at| at + 1);
        let mut lines = bytes[..whole].split(|&b| b == b'\n');
        let first = lines.next().unwrap_or_default();
        let written: Origin = serde_json::from_slice(first).map_err(|_| {
            Error::new(
                ErrorKind::InvalidValue,
                format!(
                    "{}: not a file of answers as `pixtral eval --answers` writes it; name another",
                    self.path.display()
                ),
            )
        })?;
        if let Some(difference) = difference(&written, origin) {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{}: {difference}; use the same to go on after its answers, or name another \
                     file",
                    self.path.display()
                ),
            ));
        }
        for (i, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
            let line: Line = serde_json::from_slice(line).map_err(|e| {
                Error::new(
                    ErrorKind::InvalidValue,
                    format!(
                        "{}:{}: not a line as `pixtral eval --answers` writes it ({e}); remove \
                         the line to have it answered again",
                        self.path.display(),
                        i + 2
                    ),
                )
            })?;
            let answers = match line.answer {
                OneOrMore::One(answer) => vec![answer],
                OneOrMore::More(answers) => answers,
            };
            self.known.insert(line.id, answers);
        }
        self.file
            .set_len(whole as u64)
            .and_then(|()| self.file.seek(SeekFrom::End(0)))
            .map_err(|e| Error::io(&self.path, "write", e))?;
        Ok(())
    }
}

/// What keeps answers of `written` from being those of `origin`.
fn difference(written: &Origin, origin: &Origin) -> Option<String> {
    if written.model.xxh3 != origin.model.xxh3 {
        return Some(match written.model.file == origin.model.file {
            true => format!(
                "its answers come from another version of {}",
                origin.model.file
            ),
            false => format!("its answers come from the model {}", written.model.file),
        });
    }
    if written.dataset != origin.dataset {
        return Some(format!(
            "its answers are for the dataset {}",
            written.dataset
        ));
    }
    let names = origin.settings.keys().chain(written.settings.keys());
    let value =
        |settings: &Map<String, Value>, name| settings.get(name).cloned().unwrap_or_default();
    let mut pairs = names.map(|name| {
        (
            name,
            value(&written.settings, name),
            value(&origin.settings, name),
        )
    });
    pairs
        .find(|(_, before, now)| before != now)
        .map(|(name, before, now)| format!("its answers come from {name} {before}, not {now}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    fn origin() -> Origin {
        let settings = json!({"max_tokens": 64, "system": null});
        Origin {
            model: ModelId {
                file: "m.gguf".to_owned(),
                xxh3: "12".to_owned(),
            },
            dataset: "set.jsonl".to_owned(),
            settings: settings.as_object().unwrap().clone(),
        }
    }

    fn texts(answers: &[&str]) -> Vec<String> {
        answers.iter().map(|&answer| answer.to_owned()).collect()
    }

    fn written() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let mut answers = Answers::open(&path, false, &origin()).unwrap();
        answers.add("a", &texts(&["three"]), 1.0).unwrap();
        answers.add("b", &texts(&["1", "2"]), 0.5).unwrap();
        (folder, path)
    }

    #[test]
    fn each_answer_is_one_line() {
        let (_folder, path) = written();
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(lines[0]["model"]["file"], "m.gguf");
        assert_eq!(
            lines[1],
            json!({"id": "a", "answer": "three", "score": 1.0})
        );
        assert_eq!(
            lines[2],
            json!({"id": "b", "answers": ["1", "2"], "score": 0.5})
        );
    }

    #[test]
    fn a_run_goes_on_after_what_is_there() {
        let (_folder, path) = written();
        let mut answers = Answers::open(&path, true, &origin()).unwrap();
        assert_eq!(answers.known("a"), Some(&texts(&["three"])[..]));
        assert_eq!(answers.known("b"), Some(&texts(&["1", "2"])[..]));
        assert_eq!(answers.known("c"), None);
        answers.add("c", &texts(&[""]), 0.0).unwrap();
        let answers = Answers::open(&path, true, &origin()).unwrap();
        assert_eq!(answers.known.len(), 3);
    }

    #[test]
    fn a_line_that_was_not_finished_is_answered_again() {
        let (_folder, path) = written();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        let mut answers = Answers::open(&path, true, &origin()).unwrap();
        assert_eq!(answers.known.len(), 1);
        answers.add("b", &texts(&["1", "2"]), 0.5).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn nothing_is_overwritten_unasked() {
        let (_folder, path) = written();
        let before = fs::read(&path).unwrap();
        let e = Answers::open(&path, false, &origin()).err().unwrap();
        assert!(e.message().contains("--resume"), "{e}");
        assert_eq!(fs::read(&path).unwrap(), before);

        fs::write(&path, "a photo").unwrap();
        let e = Answers::open(&path, true, &origin()).err().unwrap();
        assert!(e.message().contains("not a file of answers"), "{e}");
        assert_eq!(fs::read(&path).unwrap(), b"a photo");
    }

    #[test]
    fn answers_of_another_run_are_not_mixed_in() {
        let (_folder, path) = written();
        let with = |change: fn(&mut Origin)| {
            let mut other = origin();
            change(&mut other);
            Answers::open(&path, true, &other)
                .err()
                .map(|e| e.to_string())
        };
        assert_eq!(with(|o| o.model.file = "renamed.gguf".to_owned()), None);
        for (error, part) in [
            (
                with(|o| o.model.xxh3 = "13".to_owned()),
                "another version of m.gguf",
            ),
            (
                with(|o| o.dataset = "other.jsonl".to_owned()),
                "for the dataset set.jsonl",
            ),
            (
                with(|o| _ = o.settings.insert("max_tokens".to_owned(), 9.into())),
                "come from max_tokens 64, not 9",
            ),
            (
                with(|o| _ = o.settings.insert("top_k".to_owned(), 9.into())),
                "come from top_k null, not 9",
            ),
        ] {
            let error = error.unwrap();
            assert!(error.contains(part), "{error}");
        }
    }
}
