//! Answers at the caller's pace, and pictures without a question.

use super::{case, model, runs};
use pixtral::{
    ErrorKind,
    chat::Prompt,
    runtime::KvType,
    session::{Event, Finish, GenerateOptions, Generation, Session},
};
use std::ops::ControlFlow;

fn prompt(session: &Session) -> Prompt {
    let with_pictures = |case: &case::Case| !case.prompt(16).images.is_empty();
    let case = case::all().into_iter().find(with_pictures).expect("a case");
    case.prompt(session.model().config().vision.patch_size)
}

fn options() -> GenerateOptions {
    GenerateOptions {
        max_tokens: Some(24),
        ignore_eos: true,
        ..GenerateOptions::default()
    }
}

fn take(session: &mut Session, generation: &mut Generation, most: usize) -> String {
    let mut text = String::new();
    for _ in 0..most {
        match session.next_piece(generation).unwrap() {
            Some(piece) => text += &piece,
            None => break,
        }
    }
    text
}

#[test]
fn an_answer_taken_piece_by_piece_is_the_one_that_comes_in_one_go() {
    let mut session = runs::session(&model::golden("f32"), 64, KvType::F32);
    let prompt = prompt(&session);
    let whole = session
        .generate(&prompt, &options(), &mut runs::silent)
        .unwrap();
    let mut generation = session
        .begin(&prompt, &options(), &mut runs::silent)
        .unwrap();
    assert_eq!(generation.finish(), None);
    let text = take(&mut session, &mut generation, usize::MAX);
    assert_eq!(generation.finish(), Some(Finish::MaxTokens));
    assert_eq!(session.next_piece(&mut generation).unwrap(), None);
    let answer = generation.into_answer();
    assert_eq!((&answer.text, &answer.ids), (&text, &whole.ids));
    assert_eq!(text, whole.text);
}

#[test]
fn an_answer_is_not_continued_after_the_session_went_on() {
    let mut session = runs::session(&model::golden("f32"), 64, KvType::F32);
    let prompt = prompt(&session);
    let mut generation = session
        .begin(&prompt, &options(), &mut runs::silent)
        .unwrap();
    take(&mut session, &mut generation, 1);
    session.read(&prompt, &mut runs::silent).unwrap();
    let e = session.next_piece(&mut generation).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn embedding_a_picture_can_be_cancelled_and_is_not_done_twice() {
    let model = model::golden("f32");
    let mut session = runs::session(&model, 64, KvType::F32);
    let prompt = prompt(&session);
    let e = session.embed(&prompt.images[0], &mut |_: Event| ControlFlow::Break(()));
    assert_eq!(e.unwrap_err().kind(), ErrorKind::Cancelled);
    for image in &prompt.images {
        let expected = runs::embed_alone(&model, image);
        let found = session.embed(image, &mut runs::silent).unwrap();
        assert_eq!(
            (found.grid, &found.values),
            (expected.grid, &expected.values)
        );
    }
    let reading = session.read(&prompt, &mut runs::silent).unwrap();
    assert_eq!(reading.n_encoded, 0);
}
