//! Results: summed up by kind as a table or JSON, and entry by entry as CSV.

use super::dataset::Entry;
use pixtral::{Error, Result};
use pixtral_terminal::Table;
use serde_json::{Value, json};
use std::{
    fs::File,
    path::{Path, PathBuf},
};

/// Scores of several entries, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    /// Entries.
    pub n: usize,
    /// Entries with the full score.
    pub n_right: usize,
    /// Sum of scores.
    score: f64,
}

impl Sum {
    fn add(&mut self, score: f64) {
        self.n += 1;
        self.n_right += usize::from(score >= 1.0);
        self.score += score;
    }

    /// The part of entries with the full score; `None` of nothing.
    pub fn accuracy(&self) -> Option<f64> {
        self.mean(self.n_right as f64)
    }

    /// The mean score; `None` of nothing.
    pub fn score(&self) -> Option<f64> {
        self.mean(self.score)
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        (self.n > 0).then(|| sum / self.n as f64)
    }

    fn to_json(self) -> Value {
        json!({"entries": self.n, "accuracy": self.accuracy(), "score": self.score()})
    }
}

/// What has been scored so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By kind, in the order in which they came.
    kinds: Vec<(String, Sum)>,
    all: Sum,
}

impl Report {
    /// Counts an entry.
    pub fn add(&mut self, kind: &str, score: f64) {
        let at = match self.kinds.iter().position(|(known, _)| known == kind) {
            Some(at) => at,
            None => {
                self.kinds.push((kind.to_owned(), Sum::default()));
                self.kinds.len() - 1
            }
        };
        self.kinds[at].1.add(score);
        self.all.add(score);
    }

    /// All entries.
    pub fn all(&self) -> &Sum {
        &self.all
    }

    /// A row for each kind, and one for all.
    pub fn table(&self) -> Table {
        let percent = |part: Option<f64>| match part {
            Some(part) => format!("{:.1} %", 100.0 * part),
            None => "–".to_owned(),
        };
        let mut table = Table::new(&["kind", ">entries", ">accuracy", ">score"]);
        let kinds = self.kinds.iter().map(|(kind, sum)| (kind.as_str(), sum));
        for (kind, sum) in kinds.chain([("all", &self.all)]) {
            table.row(vec![
                kind.to_owned(),
                sum.n.to_string(),
                percent(sum.accuracy()),
                percent(sum.score()),
            ]);
        }
        table
    }

    /// The same for programs; scores and accuracies are parts of 1.
    pub fn to_json(&self) -> Value {
        let mut value = self.all.to_json();
        let kinds = self
            .kinds
            .iter()
            .map(|(kind, sum)| (kind.clone(), sum.to_json()));
        value["kinds"] = Value::Object(kinds.collect());
        value
    }
}

/// A CSV file with one row an entry, written as they come.
pub struct Csv {
    path: PathBuf,
    writer: csv::Writer<File>,
}

impl Csv {
    /// Creates the file `path`, in place of one that is there.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|e| Error::io(path, "create", e))?;
        let mut csv = Self {
            path: path.to_owned(),
            writer: csv::Writer::from_writer(file),
        };
        csv.write(&[
            "line", "id", "kind", "metric", "score", "question", "expected", "answer",
        ])?;
        Ok(csv)
    }

    /// Adds a row. Questions and answers of several turns are put under each other, several right
    /// answers between bars.
    pub fn add(&mut self, entry: &Entry, answers: &[String], score: f64) -> Result<()> {
        let questions: Vec<&str> = entry
            .turns
            .iter()
            .map(|turn| turn.question.as_str())
            .collect();
        let expected: Vec<String> = entry
            .turns
            .iter()
            .map(|turn| turn.answers.join(" | "))
            .collect();
        self.write(&[
            &entry.line.to_string(),
            &entry.id,
            &entry.kind,
            entry.metric.name(),
            &score.to_string(),
            &questions.join("\n"),
            &expected.join("\n"),
            &answers.join("\n"),
        ])
    }

    fn write(&mut self, row: &[&str; 8]) -> Result<()> {
        self.writer
            .write_record(row)
            .map_err(std::io::Error::from)
            .and_then(|()| self.writer.flush())
            .map_err(|e| Error::io(&self.path, "write", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{
        dataset::Turn,
        metrics::{Choices, Metric},
    };

    #[test]
    fn kinds_are_summed_up_apart_and_together() {
        let mut report = Report::default();
        for (kind, score) in [
            ("count", 1.0),
            ("text", 0.5),
            ("count", 0.0),
            ("count", 1.0),
        ] {
            report.add(kind, score);
        }
        assert_eq!(
            report.table().to_string(),
            "kind   entries  accuracy   score\n\
             count        3    66.7 %  66.7 %\n\
             text         1     0.0 %  50.0 %\n\
             all          4    50.0 %  62.5 %\n"
        );
        let json = report.to_json();
        assert_eq!(json["score"], 0.625);
        assert_eq!(
            json["kinds"]["text"],
            json!({"entries": 1, "accuracy": 0.0, "score": 0.5})
        );
    }

    #[test]
    fn nothing_has_no_accuracy() {
        let report = Report::default();
        assert_eq!(report.to_json()["accuracy"], Value::Null);
        assert!(
            report
                .table()
                .to_string()
                .ends_with("all         0         –      –\n")
        );
    }

    #[test]
    fn csv_keeps_commas_quotes_and_line_ends_in_their_cells() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        let turn = |question: &str, answers: &[&str]| Turn {
            question: question.to_owned(),
            answers: answers.iter().map(|&answer| answer.to_owned()).collect(),
        };
        let entry = Entry {
            line: 7,
            id: "a,b".to_owned(),
            kind: "k".to_owned(),
            images: Vec::new(),
            turns: vec![turn("What is \"this\"?", &["x", "y"]), turn("And?", &["z"])],
            choices: Choices::default(),
            metric: Metric::Exact,
        };
        let answers = ["x".to_owned(), "no".to_owned()];
        Csv::create(&path)
            .unwrap()
            .add(&entry, &answers, 0.5)
            .unwrap();
        let mut reader = csv::Reader::from_path(&path).unwrap();
        let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
        let expected = [
            "7",
            "a,b",
            "k",
            "exact",
            "0.5",
            "What is \"this\"?\nAnd?",
            "x | y\nz",
            "x\nno",
        ];
        assert_eq!(rows, [csv::StringRecord::from(&expected[..])]);
    }
}
