//! What answers have in common is computed once, and nobody waits for others' prompts and pictures.

use super::{
    super::support::{Asker, EXACT, model, questions},
    Duration, Request, batch, finish, options,
};
use pixtral::{
    chat::Message,
    session::{Batch, BatchEvent, GenerateOptions},
};

/// Questions about one picture, each of them with the answer that it has alone.
fn about_one_picture(asker: &Asker, n: usize) -> Vec<Request> {
    let all = questions(&["describe", "count", "read"], 1);
    let asked: Vec<String> = all.iter().map(|q| q.turns[0].0.clone()).collect();
    let mut question = all.into_iter().next().unwrap();
    let mut texts = asked;
    texts.sort();
    texts.dedup();
    let options = GenerateOptions {
        max_tokens: Some(24),
        ..GenerateOptions::default()
    };
    let requests: Vec<Request> = texts
        .into_iter()
        .take(n)
        .map(|text| {
            question.turns[0].0 = text;
            let prompt = asker.prompt(&[asker.message(&question, 0)]);
            Request::new(asker, prompt, options.clone())
        })
        .collect();
    assert_eq!(requests.len(), n);
    requests
}

/// Image tokens at the beginning of the prompt.
fn n_shown(request: &Request) -> usize {
    request.prompt.images[0].grid.n_patches()
}

#[test]
fn a_picture_that_several_ask_about_at_once_is_encoded_and_read_once() {
    let model = model("f32");
    let asker = Asker::new(&model, EXACT);
    let requests = about_one_picture(&asker, 3);
    let mut batch = batch(&model, 2048);
    let ids: Vec<_> = requests
        .iter()
        .map(|request| request.begin(&mut batch).unwrap())
        .collect();
    let answers = finish(&mut batch);
    let mut n_encoded = 0;
    for (request, id) in requests.iter().zip(&ids) {
        let (_, answer) = answers.iter().find(|(other, _)| other == id).unwrap();
        request.assert_answered(answer, &answer.text);
        let reading = &answer.reading;
        n_encoded += reading.n_encoded;
        assert_eq!(
            reading.n_reused >= n_shown(request),
            *id != ids[0],
            "{reading:?}"
        );
        assert!(reading.n_reused < reading.n_tokens);
    }
    assert_eq!(n_encoded, 1);
}

#[test]
fn what_a_running_answer_has_read_is_copied_and_what_a_past_one_has_is_used_again() {
    let model = model("f32");
    let asker = Asker::new(&model, EXACT);
    let requests = about_one_picture(&asker, 3);
    let mut batch = batch(&model, 2048);
    let first = requests[0].begin(&mut batch).unwrap();
    let mut talks = false;
    while !talks {
        batch
            .step(&mut |_, event| talks |= matches!(event, BatchEvent::Text(_)))
            .unwrap();
    }
    let second = requests[1].begin(&mut batch).unwrap();
    for (id, answer) in finish(&mut batch) {
        let (request, is_second) = match id == first {
            true => (&requests[0], false),
            false => (&requests[1], true),
        };
        assert_eq!(is_second, id == second);
        request.assert_answered(&answer, &answer.text);
        assert_eq!(answer.reading.n_encoded, usize::from(!is_second));
        assert_eq!(answer.reading.n_reused >= n_shown(request), is_second);
    }
    // All are over; the same question again is known but for its last token.
    requests[0].begin(&mut batch).unwrap();
    let (_, answer) = finish(&mut batch).remove(0);
    requests[0].assert_answered(&answer, &answer.text);
    assert_eq!(answer.reading.n_reused, answer.reading.n_tokens - 1);
}

#[test]
fn a_conversation_goes_on_where_it_was() {
    let model = model("f32");
    let asker = Asker::new(&model, EXACT);
    let questions = questions(&["followup"], 6);
    let mut batch = batch(&model, 2048);
    for question in &questions {
        let mut session = asker.session();
        let mut messages = Vec::new();
        let mut known = 0;
        for turn in 0..question.turns.len() {
            messages.push(asker.message(question, turn));
            let alone = asker.generate(&mut session, &messages);
            let generate = GenerateOptions {
                max_tokens: Some(128),
                ..GenerateOptions::default()
            };
            batch.begin(&asker.prompt(&messages), &generate).unwrap();
            let (_, answer) = finish(&mut batch).remove(0);
            assert_eq!(answer.ids, alone.ids, "{}: turn {turn}", question.id);
            assert!(answer.reading.n_reused >= known, "{:?}", answer.reading);
            known = answer.reading.n_tokens;
            messages.push(Message::assistant(answer.text));
        }
        assert!(known > 0);
    }
}

#[test]
fn an_answer_gets_a_token_in_every_step_in_which_others_encode_and_read() {
    let model = model("f32");
    let asker = Asker::new(&model, EXACT);
    let requests = about_one_picture(&asker, 1);
    let text = asker.prompt(&[Message::user([pixtral::chat::Part::text(
        "What can you do?",
    )])]);
    let endless = GenerateOptions {
        ignore_eos: true,
        logprobs: Some(0),
        ..GenerateOptions::default()
    };
    let mut options = options(2048);
    options.step_time = Duration::ZERO;
    let mut batch = Batch::new(model.clone(), options).unwrap();
    let talker = batch.begin(&text, &endless).unwrap();
    let mut n_chosen = 0;
    while n_chosen == 0 {
        batch
            .step(&mut |_, event| n_chosen += usize::from(matches!(event, BatchEvent::Chosen(_))))
            .unwrap();
    }
    let reader = requests[0].begin(&mut batch).unwrap();
    let (mut n_slices, mut n_pieces, mut answer) = (0, 0, None);
    while answer.is_none() {
        let mut n_tokens = 0;
        batch
            .step(&mut |id, event| match event {
                BatchEvent::Chosen(_) => n_tokens += usize::from(id == talker),
                BatchEvent::Encoding { .. } => n_slices += 1,
                BatchEvent::Reading { .. } => n_pieces += 1,
                BatchEvent::Done(done) if id == reader => answer = Some(done),
                _ => {}
            })
            .unwrap();
        assert_eq!(n_tokens, 1);
    }
    let answer = answer.unwrap();
    requests[0].assert_answered(&answer, &answer.text);
    assert!(n_slices > 1 && n_pieces > 1, "{n_slices} {n_pieces}");
    assert!(batch.cancel(talker).is_some());
}
