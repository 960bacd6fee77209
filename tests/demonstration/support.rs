//! The demonstration model and its held-out questions.

use pixtral::{
    chat::{ChatRequest, ChatTemplate, Message, Part, Prompt},
    checkpoint::{Checkpoint, Synthetic, TensorSource},
    config::Config,
    preprocess::{PreprocessOptions, Preprocessor},
    quantize::{Event as Progress, QuantizeOptions, Recipe, quantize},
    runtime::{KvType, Model},
    session::{Answer, Event, GenerateOptions, Session, SessionOptions, Speculation},
};
use serde_json::Value;
use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Tests run side by side, so each computes with one thread.
const N_THREADS: usize = 1;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/pixtral/demo")
}

/// Nobody wants to hear of progress.
pub fn silent(_: Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The demonstration checkpoint converted by the recipe `name`.
pub fn model(name: &str) -> Arc<Model> {
    convert(&Checkpoint::open(&folder()).unwrap(), name)
}

/// A small model of random weights, whose answers are noise.
pub fn random_model() -> Arc<Model> {
    let mut config = Config::pixtral_12b();
    let (t, v) = (&mut config.text, &mut config.vision);
    (t.block_count, t.embedding_length, t.feed_forward_length) = (2, 64, 128);
    (t.head_count, t.head_count_kv, t.head_dim, t.vocab_size) = (2, 1, 32, 2000);
    (v.block_count, v.embedding_length, v.feed_forward_length) = (1, 64, 64);
    v.head_count = 2;
    convert(&Synthetic::new(config, 5).unwrap(), "f16")
}

fn convert(source: &dyn TensorSource, name: &str) -> Arc<Model> {
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join(format!("{name}.gguf"));
    let recipe: Recipe = name.parse().unwrap();
    let options = QuantizeOptions::default();
    let mut silent = |_: &Progress| ControlFlow::Continue(());
    quantize(source, &path, &recipe, &options, &mut silent).unwrap();
    Model::open(&path).unwrap()
}

/// A question of the evaluation set, perhaps of several turns.
pub struct Question {
    pub id: String,
    pub kind: String,
    pub pictures: Vec<PathBuf>,
    /// Question and right answer of each turn.
    pub turns: Vec<(String, String)>,
}

/// Every `step`-th question of the evaluation set of one of `kinds`.
pub fn questions(kinds: &[&str], step: usize) -> Vec<Question> {
    let eval = folder().join("eval");
    let text = fs::read_to_string(eval.join("demo.jsonl")).unwrap();
    let questions: Vec<Question> = text
        .lines()
        .map(|line| question(&eval, &serde_json::from_str(line).unwrap()))
        .filter(|q| kinds.contains(&q.kind.as_str()))
        .step_by(step)
        .collect();
    assert!(!questions.is_empty(), "{kinds:?}");
    questions
}

fn question(eval: &Path, line: &Value) -> Question {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let turn = |value: &Value| (text(&value["question"]), text(&value["answers"][0]));
    let pictures = line["images"].as_array().expect("a list").iter();
    Question {
        id: text(&line["id"]),
        kind: text(&line["kind"]),
        pictures: pictures.map(|path| eval.join(text(path))).collect(),
        turns: match &line["turns"] {
            Value::Array(turns) => turns.iter().map(turn).collect(),
            _ => vec![turn(line)],
        },
    }
}

/// How a model is asked.
#[derive(Clone, Copy)]
pub struct Mode {
    pub n_ubatch: usize,
    pub kv_type: KvType,
    pub speculation: Speculation,
}

/// What people use.
pub const USUAL: Mode = Mode {
    n_ubatch: 512,
    kv_type: KvType::F16,
    speculation: Speculation::Auto,
};

/// For answers that must not depend on how they are computed.
pub const EXACT: Mode = Mode {
    kv_type: KvType::F32,
    speculation: Speculation::Off,
    ..USUAL
};

/// A model being asked.
pub struct Asker {
    model: Arc<Model>,
    template: ChatTemplate,
    preprocessor: Preprocessor,
    mode: Mode,
}

impl Asker {
    pub fn new(model: &Arc<Model>, mode: Mode) -> Self {
        let vision = &model.config().vision;
        Self {
            template: ChatTemplate::new(model.tokenizer(), vision).unwrap(),
            preprocessor: Preprocessor::new(vision, PreprocessOptions::default()),
            model: model.clone(),
            mode,
        }
    }

    pub fn session(&self) -> Session {
        self.session_with(|_| ())
    }

    /// A session of `n_ctx` tokens.
    pub fn session_of(&self, n_ctx: usize) -> Session {
        self.session_with(|options| options.n_ctx = Some(n_ctx))
    }

    /// A session with options that `change` has changed.
    pub fn session_with(&self, change: impl FnOnce(&mut SessionOptions)) -> Session {
        let mut options = SessionOptions {
            n_ctx: Some(2048),
            n_ubatch: self.mode.n_ubatch,
            kv_type: self.mode.kv_type,
            n_threads: Some(N_THREADS),
            ..SessionOptions::default()
        };
        change(&mut options);
        Session::new(self.model.clone(), options).unwrap()
    }

    /// The answers to all turns of `question`, in one session.
    pub fn answers(&self, question: &Question) -> Vec<String> {
        let mut session = self.session();
        let mut messages = Vec::new();
        let mut answers = Vec::new();
        for turn in 0..question.turns.len() {
            messages.push(self.message(question, turn));
            let answer = self.answer(&mut session, &messages);
            messages.push(Message::assistant(answer.clone()));
            answers.push(answer);
        }
        answers
    }

    /// The user's message of a turn; the first has the pictures.
    pub fn message(&self, question: &Question, turn: usize) -> Message {
        let mut parts = Vec::new();
        if turn == 0 {
            for path in &question.pictures {
                let image = self.preprocessor.prepare_file(path).unwrap();
                parts.push(Part::image(Arc::new(image)));
            }
        }
        parts.push(Part::text(question.turns[turn].0.as_str()));
        Message::user(parts)
    }

    pub fn answer(&self, session: &mut Session, messages: &[Message]) -> String {
        self.generate(session, messages).text
    }

    pub fn generate(&self, session: &mut Session, messages: &[Message]) -> Answer {
        let options = GenerateOptions {
            max_tokens: Some(128),
            speculation: self.mode.speculation,
            ..GenerateOptions::default()
        };
        session
            .generate(&self.prompt(messages), &options, &mut silent)
            .unwrap()
    }

    pub fn prompt(&self, messages: &[Message]) -> Prompt {
        let request = ChatRequest::new(messages.to_vec());
        self.template
            .encode(&request, &mut |url| panic!("{url} was not prepared"))
            .unwrap()
    }

    /// The part of `questions` whose every turn is answered right.
    pub fn accuracy(&self, questions: &[Question]) -> f64 {
        let right = |question: &&Question| {
            let answers = self.answers(question);
            let right = answers
                .iter()
                .zip(&question.turns)
                .all(|(a, (_, b))| a == b);
            if !right {
                println!(
                    "{}: {answers:?}, expected {:?}",
                    question.id, question.turns
                );
            }
            right
        };
        questions.iter().filter(right).count() as f64 / questions.len() as f64
    }
}
