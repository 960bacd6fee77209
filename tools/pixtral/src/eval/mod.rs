//! `pixtral eval`: asks a model the questions of a dataset and scores its answers.
//!
//! Owns the order of things: which entries are asked, what is written when, what is skipped and
//! how a run that was interrupted goes on. How a dataset looks, how scores are defined and how
//! results are shown is in the modules below; docs/EVAL.md describes all of it for users.

mod answers;
mod dataset;
mod metrics;
mod report;
mod run;

use crate::{
    conversation::Conversation,
    options::{DecoderArgs, GenerateArgs},
    pictures::PictureArgs,
};
use answers::{Answers, ModelId, Origin};
use clap::Args;
use dataset::{Dataset, Entry, Selection};
use metrics::Metric;
use pixtral::{
    Error, ErrorKind, Result,
    ggml::CancelFlag,
    runtime::Model,
    session::{GenerateOptions, Speculation},
};
use pixtral_terminal::{Interrupt, noteln, out, outln, progress::bar};
use report::{Csv, Report};
use run::{Outcome, Runner};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// Ask the questions of a dataset and score the answers
#[derive(Args, Debug)]
#[command(after_help = "A dataset has one JSON object a line:
  {\"id\": \"1\", \"kind\": \"count\", \"images\": [\"img/1.png\"], \"question\": \"How many cats?\",
   \"answers\": [\"3\", \"three\"], \"metric\": \"exact\"}
docs/EVAL.md describes it, the metrics, and how to make one from a public benchmark.

Examples:
  pixtral eval pixtral-12b-q4_k.gguf chartqa.jsonl --metric relaxed --answers q4_k.jsonl
  pixtral eval pixtral-12b-q4_k.gguf chartqa.jsonl --metric relaxed --answers q4_k.jsonl --resume
  pixtral eval pixtral-12b-q4_k.gguf set.jsonl --limit 50 --json")]
pub struct EvalArgs {
    /// Model file (GGUF, as pixtral-quantize writes it)
    model: PathBuf,
    /// Questions and expected answers (JSON lines); pictures are looked for beside it
    dataset: PathBuf,
    /// How answers are scored where the dataset does not say
    #[arg(long, value_enum, default_value = "exact")]
    metric: Metric,
    /// Ask only the first N entries
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Ask only entries of this kind
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Write each answer to this file as it comes
    #[arg(long, value_name = "FILE.jsonl")]
    answers: Option<PathBuf>,
    /// Go on after the answers that the file of --answers has already
    #[arg(long, requires = "answers")]
    resume: bool,
    /// Write a table with one row an entry to this file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Instructions that the model is given before each question
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    pictures: PictureArgs,
    #[command(flatten)]
    decoder: DecoderArgs,
    #[command(flatten)]
    generate: GenerateArgs,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// A run over a dataset, and where its results go.
struct Evaluation<'a> {
    runner: Runner<'a>,
    answers: Option<Answers>,
    csv: Option<Csv>,
    report: Report,
    n_skipped: usize,
}

/// Runs the command.
pub fn run(args: &EvalArgs, interrupt: &Interrupt) -> Result<()> {
    let selection = Selection {
        metric: args.metric,
        kind: args.kind.clone(),
        limit: args.limit.map(|n| n as usize),
    };
    let dataset = Dataset::read(&args.dataset, &selection)?;
    let model = Model::open(&args.model)?;
    let origin = args.origin(&model)?;
    let answers = (args.answers.as_ref())
        .map(|path| Answers::open(path, args.resume, &origin))
        .transpose()?;
    let mut evaluation = Evaluation {
        answers,
        csv: args.csv.as_deref().map(Csv::create).transpose()?,
        runner: Runner {
            preprocessor: args.pictures.preprocessor(&model.config().vision),
            conversation: Conversation::new(
                model,
                args.decoder.session(),
                args.generation(),
                args.system.clone(),
                interrupt,
            )?,
            interrupt,
        },
        report: Report::default(),
        n_skipped: dataset.broken.len(),
    };
    for broken in &dataset.broken {
        noteln!(
            "{}:{}: {}",
            args.dataset.display(),
            broken.line,
            broken.reason
        );
    }
    let between_entries = CancelFlag::default();
    let finished = interrupt.during(between_entries.clone(), || {
        evaluation.run(&args.dataset, &dataset.entries, &between_entries)
    });
    if let Err(error) = finished {
        noteln!("{}", args.how_to_go_on(&evaluation, dataset.entries.len()));
        return Err(error);
    }
    args.show(&evaluation, &origin)?;
    match evaluation.n_skipped {
        0 => Ok(()),
        n => Err(Error::new(
            ErrorKind::InvalidValue,
            format!(
                "{}: {n} of {} lines were skipped for the reasons above and are not in the results",
                args.dataset.display(),
                n + evaluation.report.all().n
            ),
        )),
    }
}

impl EvalArgs {
    /// Without drafts: what batches are computed would depend on the clock, and with it the
    /// rounding of a near tie.
    fn generation(&self) -> GenerateOptions {
        GenerateOptions {
            speculation: Speculation::Off,
            ..self.generate.options()
        }
    }

    /// What the answers depend on. The number of threads, the batch size and the length of the
    /// context are not part of it: they change no answer that is complete.
    fn origin(&self, model: &Model) -> Result<Origin> {
        let options = self.generation();
        let sampling = &options.sampling;
        let mut settings = Map::new();
        for (name, value) in [
            ("system", json!(self.system)),
            ("metric", json!(self.metric.name())),
            (
                "kv_type",
                json!(format!("{:?}", self.decoder.kv_type()).to_lowercase()),
            ),
            ("max_tokens", json!(options.max_tokens)),
            ("stop", json!(options.stop)),
            ("temperature", decimal(sampling.temperature)),
            ("top_k", json!(sampling.top_k)),
            ("top_p", decimal(sampling.top_p)),
            ("min_p", decimal(sampling.min_p)),
            ("repeat_penalty", decimal(sampling.repeat_penalty)),
            ("seed", json!(sampling.seed)),
        ] {
            settings.insert(name.to_owned(), value);
        }
        settings.extend(self.pictures.settings());

        let file = model.file();
        let start = usize::try_from(file.data_start()).unwrap_or(usize::MAX);
        let header = file.bytes().get(..start).unwrap_or(file.bytes());
        Ok(Origin {
            model: ModelId {
                file: file_name(&self.model),
                xxh3: format!("{:016x}", xxh3_64(header)),
            },
            dataset: file_name(&self.dataset),
            settings,
        })
    }

    fn show(&self, evaluation: &Evaluation, origin: &Origin) -> Result<()> {
        if !self.json {
            return out!("{}", evaluation.report.table());
        }
        let mut value = json!({
            "model": self.model,
            "dataset": self.dataset,
            "settings": origin.settings,
            "skipped": evaluation.n_skipped,
        });
        if let (Value::Object(value), Value::Object(results)) =
            (&mut value, evaluation.report.to_json())
        {
            value.extend(results);
        }
        outln!("{value}")
    }

    /// What became of a run that ended early.
    fn how_to_go_on(&self, evaluation: &Evaluation, n_entries: usize) -> String {
        let done = evaluation.report.all().n;
        match &self.answers {
            Some(path) => format!(
                "{done} of {n_entries} entries are answered in {}: the same command with --resume \
                 goes on after them",
                path.display()
            ),
            None => format!(
                "{done} of {n_entries} entries were answered and are lost: with --answers FILE \
                 they are kept, and --resume goes on after them"
            ),
        }
    }
}

/// `value` as it was typed: 0.7 and not 0.699999988079071.
fn decimal(value: f32) -> Value {
    json!(value.to_string().parse::<f64>().unwrap_or(value.into()))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

impl Evaluation<'_> {
    /// Answers and scores `entries`, those that are answered already excepted.
    fn run(&mut self, dataset: &Path, entries: &[Entry], cancel: &CancelFlag) -> Result<()> {
        let bar = bar("{bar:30} {pos}/{len} {msg} {eta}", entries.len() as u64);
        for entry in entries {
            cancel.check()?;
            let outcome = match self.known(entry)? {
                Some(answers) => Outcome::Answered(answers),
                None => self.ask(entry)?,
            };
            match outcome {
                Outcome::Answered(answers) => {
                    let score = entry.score(&answers);
                    self.report.add(&entry.kind, score);
                    if let Some(csv) = &mut self.csv {
                        csv.add(entry, &answers, score)?;
                    }
                }
                Outcome::Unusable(error) => {
                    self.n_skipped += 1;
                    bar.suspend(|| noteln!("{}:{}: {error}", dataset.display(), entry.line));
                }
            }
            if let Some(accuracy) = self.report.all().accuracy() {
                bar.set_message(format!("{:.1} % right", 100.0 * accuracy));
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// The answers that the file of answers has for `entry`.
    fn known(&self, entry: &Entry) -> Result<Option<Vec<String>>> {
        let Some(known) = self
            .answers
            .as_ref()
            .and_then(|answers| answers.known(&entry.id))
        else {
            return Ok(None);
        };
        match known.len() == entry.turns.len() {
            true => Ok(Some(known.to_vec())),
            false => Err(Error::new(
                ErrorKind::InvalidValue,
                format!(
                    "the file of answers has {} for {:?}, which now has {} questions: the dataset \
                     was changed; name another file",
                    known.len(),
                    entry.id,
                    entry.turns.len()
                ),
            )),
        }
    }

    fn ask(&mut self, entry: &Entry) -> Result<Outcome> {
        let outcome = self.runner.answer(entry)?;
        if let (Outcome::Answered(given), Some(answers)) = (&outcome, &mut self.answers) {
            answers.add(&entry.id, given, entry.score(given))?;
        }
        Ok(outcome)
    }
}
