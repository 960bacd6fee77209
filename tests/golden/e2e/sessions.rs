//! What a session promises beside numbers: streaming, stop strings, cancelling, a full context.

use super::{
    case::{self, Case, relative_l2},
    model, runs,
};
use pixtral::{
    ErrorKind,
    chat::Prompt,
    runtime::{KvType, Model, Rates},
    session::{Event, Finish, GenerateOptions, Session, SessionOptions},
};
use std::{ops::ControlFlow, sync::Arc, thread, time::Duration};

const GO_ON: ControlFlow<()> = ControlFlow::Continue(());
const STOP: ControlFlow<()> = ControlFlow::Break(());

/// The case with the most pictures, and its prompt.
fn pictures(model: &Model) -> (Case, Prompt) {
    let patch_size = model.config().vision.patch_size;
    let most = |case: &Case| case.prompt(patch_size).images.len();
    let case = case::all().into_iter().max_by_key(most).expect("a case");
    let prompt = case.prompt(patch_size);
    (case, prompt)
}

fn long(max_tokens: usize) -> GenerateOptions {
    GenerateOptions {
        max_tokens: Some(max_tokens),
        ignore_eos: true,
        ..GenerateOptions::default()
    }
}

#[test]
fn pieces_are_the_answer_and_a_stop_string_ends_it() {
    let model = model::golden("f32");
    let (_, prompt) = pictures(&model);
    let mut streamed = String::new();
    let whole = runs::session(&model, 64, KvType::F32)
        .generate(&prompt, &long(24), &mut |event| {
            if let Event::Text(piece) = event {
                streamed.push_str(piece);
            }
            GO_ON
        })
        .unwrap();
    assert_eq!(streamed, whole.text);

    // A string from the middle of the answer, which no single token is.
    let text: Vec<char> = whole.text.chars().collect();
    let stop: String = text[text.len() / 2..text.len() / 2 + 6].iter().collect();
    let options = GenerateOptions {
        stop: vec!["never said".into(), stop.clone()],
        ..long(24)
    };
    let cut = runs::session(&model, 64, KvType::F32)
        .generate(&prompt, &options, &mut runs::silent)
        .unwrap();
    assert_eq!(cut.finish, Finish::StopString);
    assert_eq!(Some(cut.text.as_str()), whole.text.split(&stop).next());
}

#[test]
fn cancelled_work_is_an_error_and_what_was_read_is_not_read_again() {
    let model = model::golden("f32");
    let (_, prompt) = pictures(&model);
    let expected = read(&mut runs::session(&model, 16, KvType::F32), &prompt);
    let mut session = runs::session(&model, 16, KvType::F32);

    let mut encoding = |event: Event| match event {
        Event::Encoding { .. } => STOP,
        _ => GO_ON,
    };
    let e = session.read(&prompt, &mut encoding).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Cancelled);
    assert!(session.is_empty());

    let mut reading = |event: Event| match event {
        Event::Reading { done, .. } if done >= 32 => STOP,
        _ => GO_ON,
    };
    let e = session.read(&prompt, &mut reading).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Cancelled);
    assert_eq!(session.len(), 32);

    let rest = session.read(&prompt, &mut runs::silent).unwrap();
    assert_eq!((rest.n_reused, rest.n_encoded), (32, 0));
    assert!(relative_l2(session.logits(), &expected) < 1e-4);
}

#[test]
fn another_thread_can_stop_an_answer_which_is_kept_as_far_as_it_came() {
    let model = model::golden("f32");
    let (_, prompt) = pictures(&model);
    let mut session = runs::session(&model, 64, KvType::F32);
    let flag = session.cancel_flag();
    let mut pieces = 0;
    let answer = session
        .generate(&prompt, &long(100_000), &mut |event| {
            if matches!(event, Event::Text(_)) {
                pieces += 1;
                if pieces == 3 {
                    thread::spawn({
                        let flag = flag.clone();
                        move || flag.cancel()
                    });
                }
            }
            GO_ON
        })
        .unwrap();
    assert_eq!(answer.finish, Finish::Cancelled);
    assert!(pieces >= 3 && !answer.text.is_empty());
    // The session is as good as before.
    let again = session
        .generate(&prompt, &long(4), &mut runs::silent)
        .unwrap();
    assert_eq!(again.ids, answer.ids[..4]);
}

#[test]
fn a_cancel_that_comes_first_stops_the_next_call_and_no_other() {
    let model = model::golden("f32");
    let (_, prompt) = pictures(&model);
    let mut session = runs::session(&model, 64, KvType::F32);
    let flag = session.cancel_flag();
    type Call<'a> = &'a dyn Fn(&mut Session) -> pixtral::Result<()>;
    let calls: [Call; 4] = [
        &|s| s.embed(&prompt.images[0], &mut runs::silent).map(drop),
        &|s| s.read(&prompt, &mut runs::silent).map(drop),
        &|s| s.begin(&prompt, &long(1), &mut runs::silent).map(drop),
        &|s| s.generate(&prompt, &long(1), &mut runs::silent).map(drop),
    ];
    for _ in 0..2 {
        for call in calls {
            flag.cancel();
            assert_eq!(call(&mut session).unwrap_err().kind(), ErrorKind::Cancelled);
            call(&mut session).unwrap();
        }
    }
    // What has no sense at all takes the cancel with it too.
    flag.cancel();
    let mut nonsense = long(1);
    nonsense.sampling.temperature = -1.0;
    let e = session.generate(&prompt, &nonsense, &mut runs::silent);
    assert_eq!(e.unwrap_err().kind(), ErrorKind::InvalidArgument);
    session.read(&prompt, &mut runs::silent).unwrap();
}

#[test]
fn a_cancel_that_comes_last_goes_with_the_answer_it_was_meant_for() {
    let model = model::golden("f32");
    let (_, prompt) = pictures(&model);
    let mut session = runs::session(&model, 64, KvType::F32);
    let flag = session.cancel_flag();
    let whole = session
        .generate(&prompt, &long(4), &mut runs::silent)
        .unwrap();
    let mut n_bytes = 0;
    let mut at_the_last = |event: Event| match event {
        Event::Text(piece) => {
            n_bytes += piece.len();
            match n_bytes == whole.text.len() {
                true => STOP,
                false => GO_ON,
            }
        }
        _ => GO_ON,
    };
    let answer = session
        .generate(&prompt, &long(4), &mut at_the_last)
        .unwrap();
    assert_eq!(answer.text, whole.text);
    assert!(!flag.is_cancelled());

    let mut generation = session
        .begin(&prompt, &long(100), &mut runs::silent)
        .unwrap();
    session.next_piece(&mut generation).unwrap();
    flag.cancel();
    while session.next_piece(&mut generation).unwrap().is_some() {}
    assert_eq!(generation.finish(), Some(Finish::Cancelled));
    assert!(!flag.is_cancelled());
    flag.cancel();
    assert_eq!(session.next_piece(&mut generation).unwrap(), None);
    session.read(&prompt, &mut runs::silent).unwrap();
}

fn small_context(model: &Arc<Model>, n_ctx: usize) -> Session {
    let options = SessionOptions {
        n_ctx: Some(n_ctx),
        ..SessionOptions::default()
    };
    Session::new(model.clone(), options).unwrap()
}

#[test]
fn a_context_that_is_full_is_said_and_nothing_is_lost() {
    let model = model::golden("f32");
    let (_, prompt) = pictures(&model);
    let n = prompt.ids.len();

    let mut session = small_context(&model, n - 1);
    let e = session.read(&prompt, &mut runs::silent).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::ContextFull);
    assert!(session.is_empty());

    let mut session = small_context(&model, n + 3);
    let answer = session
        .generate(&prompt, &long(100), &mut runs::silent)
        .unwrap();
    assert_eq!(answer.finish, Finish::ContextFull);
    // The last token needs no cell: nothing follows it.
    assert_eq!(answer.ids.len(), 4);
    assert_eq!(session.len(), n + 3);
}

#[test]
fn a_picture_asked_about_again_is_not_encoded_again() {
    let model = model::golden("f32");
    let (_, prompt) = pictures(&model);
    let mut session = runs::session(&model, 64, KvType::F32);
    let first = session.read(&prompt, &mut runs::silent).unwrap();
    assert_eq!(first.n_encoded, prompt.images.len());
    session.clear();
    let second = session.read(&prompt, &mut runs::silent).unwrap();
    assert_eq!((second.n_reused, second.n_encoded), (0, 0));
}

#[test]
fn smaller_caches_stay_near_the_exact_one() {
    let model = model::golden("f32");
    let (case, prompt) = pictures(&model);
    let expected = read(&mut runs::session(&model, 64, KvType::F32), &prompt);
    for (kv_type, bound) in [(KvType::F16, 2e-3), (KvType::Q8_0, 2e-2)] {
        let found = read(&mut runs::session(&model, 64, kv_type), &prompt);
        let error = relative_l2(&found, &expected);
        println!("{}: {kv_type:?} {error:.2e}", case.name);
        assert!(error > 0.0 && error < bound, "{kv_type:?}: {error:.2e}");
    }
}

fn read(session: &mut Session, prompt: &Prompt) -> Vec<f32> {
    session.read(prompt, &mut runs::silent).unwrap();
    session.logits().to_vec()
}

#[test]
fn an_estimate_counts_what_a_reading_would_compute() {
    let model = model::golden("f32");
    let (_, prompt) = pictures(&model);
    let mut session = runs::session(&model, 64, KvType::F32);
    session.set_rates(Rates {
        patch: 1.0,
        patch_pair: 0.0,
        token: 1.0,
        token_pair: 0.0,
    });
    let before = session.estimate(&prompt).unwrap().unwrap();
    assert_eq!((before.n_known, before.n_tokens), (0, prompt.ids.len()));
    assert_eq!(before.pictures.len(), prompt.images.len());
    let n_patches: usize = prompt.images.iter().map(|i| i.grid.n_patches()).sum();
    let seconds = (n_patches + prompt.ids.len()) as u64;
    assert_eq!(before.time(), Duration::from_secs(seconds));

    let reading = session.read(&prompt, &mut runs::silent).unwrap();
    assert_eq!(reading.n_encoded, prompt.images.len());
    let after = session.estimate(&prompt).unwrap().unwrap();
    assert_eq!((after.n_known, after.n_tokens), (prompt.ids.len() - 1, 1));
    assert!(after.pictures.is_empty());
    // Forgotten tokens are read again, pictures are still known.
    session.clear();
    let again = session.estimate(&prompt).unwrap().unwrap();
    assert_eq!(again.encode_time, Duration::ZERO);
    assert_eq!(again.n_tokens, prompt.ids.len());
}

#[test]
fn what_a_session_needs_is_known_without_one() {
    let model = model::golden("f32");
    let options = SessionOptions {
        n_ctx: Some(512),
        ..SessionOptions::default()
    };
    let needs = Session::memory_needs(&model, &options).unwrap();
    assert!(needs.kv_cache > 0 && needs.total() > needs.kv_cache);
    let session = Session::new(model, options).unwrap();
    assert_eq!(session.needs(), needs);
    assert_eq!(session.streamed_parts(), None);
}
