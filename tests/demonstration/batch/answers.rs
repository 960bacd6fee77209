//! Answers of a batch against those that each has alone.

use super::{
    super::support::{Asker, EXACT, model, random_model},
    N_SEQUENCES, Running, batch, requests, step,
};
use pixtral::{
    ErrorKind,
    chat::{Message, Part, Prompt},
    session::{BatchEvent, Finish, GenerateOptions},
};

#[test]
fn answers_at_once_are_those_of_each_alone() {
    let model = model("f32");
    let requests = requests(&model);
    let mut batch = batch(&model, 2048);
    let mut waiting = requests.iter();
    let mut running = Running::new();
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
        n_answered += step(&mut batch, &mut running);
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

#[test]
fn log_probabilities_are_told_token_by_token_and_are_those_of_a_session() {
    let model = model("f32");
    let asker = Asker::new(&model, EXACT);
    let mut batch = batch(&model, 2048);
    for request in requests(&model).iter().take(4) {
        let options = GenerateOptions {
            logprobs: Some(3),
            ..request.options.clone()
        };
        let alone = asker
            .session()
            .generate(&request.prompt, &options, &mut super::silent);
        let alone = alone.unwrap();
        assert_eq!(alone.ids, request.alone.ids);
        batch.begin(&request.prompt, &options).unwrap();
        let (mut told, mut answer) = (Vec::new(), None);
        while !batch.is_idle() {
            batch
                .step(&mut |_, event| match event {
                    BatchEvent::Chosen(chosen) => told.push(chosen.clone()),
                    BatchEvent::Done(done) => answer = Some(done),
                    _ => {}
                })
                .unwrap();
        }
        let answer = answer.unwrap();
        assert_eq!(answer.logprobs, told);
        for logprobs in [&told, &alone.logprobs] {
            assert!(logprobs.iter().map(|l| l.id).eq(answer.ids.iter().copied()));
        }
        for (a, b) in told.iter().zip(&alone.logprobs) {
            assert!((a.logprob - b.logprob).abs() < 1e-3, "{a:?} {b:?}");
            assert_eq!(a.top.len(), 3);
            assert!(a.top.is_sorted_by(|x, y| x.1 >= y.1), "{a:?}");
            if options.sampling.temperature == 0.0 && options.constraint.is_none() {
                assert_eq!(a.top[0], (a.id, a.logprob));
            }
        }
    }
}
