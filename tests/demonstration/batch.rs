//! Several answers at once: each the one that it would be alone, whoever comes and goes beside it.

use super::support::{Asker, EXACT, Question, model, questions, random_model, silent};
use pixtral::{
    ErrorKind,
    chat::{Message, Part, Prompt},
    constraint::ConstraintCompiler,
    runtime::{KvType, Model},
    session::{
        Answer, AnswerId, Batch, BatchEvent, BatchOptions, Finish, GenerateOptions,
        SamplingOptions, SessionOptions,
    },
};
use serde_json::json;
use std::{collections::HashMap, sync::Arc};

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

#[test]
fn answers_at_once_are_those_of_each_alone() {
    let model = model("f32");
    let requests = requests(&model);
    let mut batch = batch(&model, 2048);
    let mut waiting = requests.iter();
    let mut running: HashMap<AnswerId, (&Request, String)> = HashMap::new();
    let (mut n_answered, mut n_steps) = (0, 0);
    while n_answered < requests.len() {
        // They come one by one, while others are being answered.
        if n_steps % 3 == 0
            && batch.n_free() > 0
            && let Some(request) = waiting.next()
        {
            let id = request.begin(&mut batch).unwrap();
            running.insert(id, (request, String::new()));
        }
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
        n_steps += 1;
        assert!(n_steps < 10_000, "no end");
    }
    assert!(batch.is_idle());
    let n_tokens: usize = requests.iter().map(|r| r.alone.ids.len()).sum();
    assert!(n_steps < n_tokens, "{n_steps} steps for {n_tokens} tokens");
}

#[test]
fn who_leaves_changes_nothing_for_those_who_stay() {
    let model = model("f32");
    let requests = requests(&model);
    let mut batch = batch(&model, 2048);
    for (i, request) in requests.iter().enumerate() {
        let stays = request.begin(&mut batch).unwrap();
        let other = &requests[(i + 1) % requests.len()];
        let mut leaves = other.begin(&mut batch).unwrap();
        let mut streamed = String::new();
        let mut answered = None;
        let mut n_steps = 0;
        while answered.is_none() {
            batch
                .step(&mut |id, event| match event {
                    BatchEvent::Text(piece) if id == stays => streamed.push_str(piece),
                    BatchEvent::Done(answer) if id == stays => answered = Some(answer),
                    _ => {}
                })
                .unwrap();
            n_steps += 1;
            if n_steps % 4 == 0 {
                if let Some(answer) = batch.cancel(leaves) {
                    assert_eq!(answer.finish, Finish::Cancelled);
                    assert!(batch.cancel(leaves).is_none());
                }
                leaves = other.begin(&mut batch).unwrap();
            }
        }
        request.assert_answered(&answered.unwrap(), &streamed);
        batch.cancel(leaves);
        assert!(batch.is_idle());
    }
}

#[test]
fn a_prompt_that_is_read_delays_others_by_no_more_than_a_piece() {
    let model = model("f32");
    let requests = requests(&model);
    let longest = requests.iter().max_by_key(|r| r.prompt.ids.len()).unwrap();
    let talker = requests.iter().max_by_key(|r| r.alone.ids.len()).unwrap();
    let mut batch = batch(&model, 2048);
    let talking = talker.begin(&mut batch).unwrap();
    let mut is_talking = false;
    while !is_talking {
        batch
            .step(&mut |_, event| is_talking |= matches!(event, BatchEvent::Text(_)))
            .unwrap();
    }
    let reading = longest.begin(&mut batch).unwrap();
    let mut known = 0;
    let (mut n_pieces, mut n_texts) = (0, 0);
    for _ in 0..4 {
        batch
            .step(&mut |id, event| match event {
                BatchEvent::Reading { done, .. } if id == reading => {
                    assert!(done - known <= 64, "{known} to {done}");
                    known = done;
                    n_pieces += 1;
                }
                BatchEvent::Text(_) if id == talking => n_texts += 1,
                _ => {}
            })
            .unwrap();
    }
    assert!(n_pieces > 1 && n_texts > 1, "{n_pieces} {n_texts}");
}

#[test]
fn what_cannot_begin_is_refused_and_disturbs_nobody() {
    let model = random_model();
    let asker = Asker::new(&model, EXACT);
    let prompt = asker.prompt(&[Message::user([Part::text("What is this?")])]);
    let mut batch = batch(&model, 64);
    let options = GenerateOptions {
        max_tokens: Some(3),
        ignore_eos: true,
        ..GenerateOptions::default()
    };
    for _ in 0..N_SEQUENCES {
        batch.begin(&prompt, &options).unwrap();
    }
    let e = batch.begin(&prompt, &options).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidArgument);
    let mut n_done = 0;
    while !batch.is_idle() {
        batch
            .step(&mut |_, event| n_done += usize::from(matches!(event, BatchEvent::Done(_))))
            .unwrap();
    }
    assert_eq!(n_done, N_SEQUENCES);
    let long = asker.prompt(&[Message::user([Part::text("a ".repeat(100))])]);
    let e = batch.begin(&long, &options).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::ContextFull);
    let unmatched = Prompt {
        ids: [
            prompt.ids.as_slice(),
            &[model.config().vision.image_token_id],
        ]
        .concat(),
        images: Vec::new(),
    };
    let e = batch.begin(&unmatched, &options).unwrap_err();
    assert!(e.message().contains("do not match"), "{e}");
    assert!(batch.is_idle());
}
