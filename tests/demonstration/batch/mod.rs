//! Several answers at once: each the one that it would be alone, whoever comes and goes beside it.

mod answers;
mod schedules;
mod sharing;

use super::support::{Asker, EXACT, Question, questions, silent};
use pixtral::{
    chat::Prompt,
    constraint::ConstraintCompiler,
    runtime::{KvType, Model},
    session::{
        Answer, AnswerId, Batch, BatchEvent, BatchOptions, GenerateOptions, SamplingOptions,
        SessionOptions,
    },
};
use serde_json::json;
use std::{collections::HashMap, sync::Arc, time::Duration};

const N_SEQUENCES: usize = 4;

/// As batches of these tests are set up.
fn options(n_ctx: usize) -> BatchOptions {
    BatchOptions {
        session: SessionOptions {
            n_ctx: Some(n_ctx),
            n_ubatch: 100,
            kv_type: KvType::F32,
            n_threads: Some(1),
            ..SessionOptions::default()
        },
        n_sequences: N_SEQUENCES,
        ..BatchOptions::default()
    }
}

fn batch(model: &Arc<Model>, n_ctx: usize) -> Batch {
    Batch::new(model.clone(), options(n_ctx)).unwrap()
}

/// Steps until all is answered; the answers in the order in which they were over.
fn finish(batch: &mut Batch) -> Vec<(AnswerId, Answer)> {
    let mut answers = Vec::new();
    while !batch.is_idle() {
        batch
            .step(&mut |id, event| match event {
                BatchEvent::Done(answer) => answers.push((id, answer)),
                BatchEvent::Failed(e) => panic!("{e}"),
                _ => {}
            })
            .unwrap();
    }
    answers
}

/// Something to answer, and the answer that it has alone.
struct Request {
    prompt: Prompt,
    options: GenerateOptions,
    alone: Answer,
}

impl Request {
    fn new(asker: &Asker, prompt: Prompt, options: GenerateOptions) -> Self {
        Self {
            alone: asker
                .session()
                .generate(&prompt, &options, &mut silent)
                .unwrap(),
            prompt,
            options,
        }
    }

    fn begin(&self, batch: &mut Batch) -> pixtral::Result<AnswerId> {
        batch.begin(&self.prompt, &self.options)
    }

    #[track_caller]
    fn assert_answered(&self, answer: &Answer, streamed: &str) {
        assert_eq!(answer.ids, self.alone.ids);
        assert_eq!(answer.text, self.alone.text);
        assert_eq!(answer.finish, self.alone.finish);
        assert_eq!(streamed, answer.text);
    }
}

/// Questions about pictures, some within constraints, drawn at random or cut short.
fn requests(model: &Arc<Model>) -> Vec<Request> {
    let asker = Asker::new(model, EXACT);
    let compiler = ConstraintCompiler::new(model.tokenizer()).unwrap();
    let schema = json!({
        "type": "object",
        "properties": {"number of circles": {"type": "integer"}, "colour": {"enum": ["red", "blue"]}},
        "required": ["number of circles", "colour"],
        "additionalProperties": false,
    });
    let constraint = compiler.json_schema(&schema).unwrap();
    let questions = questions(&["describe", "count", "changed", "chat", "read"], 5);
    let request = |(i, question): (usize, &Question)| {
        let mut options = GenerateOptions {
            max_tokens: Some(60),
            ..GenerateOptions::default()
        };
        match i % 5 {
            1 => options.constraint = Some(constraint.clone()),
            2 => {
                options.sampling = SamplingOptions {
                    temperature: 0.8,
                    repeat_penalty: 1.1,
                    frequency_penalty: 0.2,
                    seed: Some(i as u64),
                    ..SamplingOptions::default()
                };
            }
            3 => options.max_tokens = Some(i % 7),
            4 => options.stop = vec!["re".to_owned(), "a ".to_owned()],
            _ => {}
        }
        let prompt = asker.prompt(&[asker.message(question, 0)]);
        Request::new(&asker, prompt, options)
    };
    questions.iter().enumerate().map(request).collect()
}

/// Answers being given, with what was told of them.
type Running<'a> = HashMap<AnswerId, (&'a Request, String)>;

/// One step, in which whoever is done has the answer that it has alone; how many were.
fn step(batch: &mut Batch, running: &mut Running) -> usize {
    let mut n_answered = 0;
    batch
        .step(&mut |id, event| match event {
            BatchEvent::Text(piece) => running.get_mut(&id).unwrap().1.push_str(piece),
            BatchEvent::Done(answer) => {
                let (request, streamed) = running.remove(&id).unwrap();
                request.assert_answered(&answer, &streamed);
                n_answered += 1;
            }
            BatchEvent::Failed(e) => panic!("{e}"),
            _ => {}
        })
        .unwrap();
    n_answered
}
