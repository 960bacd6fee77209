//! The same answers by different ways.

use super::support::{Asker, EXACT, Mode, USUAL, model, questions};
use pixtral::chat::Message;

#[test]
fn batches_of_any_size_give_the_same_answers() {
    let model = model("f32");
    let asker = Asker::new(&model, EXACT);
    for question in questions(&["describe", "changed", "followup"], 9) {
        let expected = asker.answers(&question);
        for n_ubatch in [1, 7, 64] {
            let mode = Mode { n_ubatch, ..EXACT };
            let found = Asker::new(&model, mode).answers(&question);
            assert_eq!(found, expected, "{}: ubatch {n_ubatch}", question.id);
        }
    }
}

#[test]
fn a_cached_beginning_gives_the_answers_of_a_fresh_session() {
    let model = model("f32");
    let asker = Asker::new(&model, EXACT);
    let mut compared = 0;
    for question in questions(&["followup", "chat"], 4) {
        let cached = asker.answers(&question);
        let mut messages = Vec::new();
        for (turn, answer) in cached.iter().enumerate() {
            messages.push(asker.message(&question, turn));
            let fresh = asker.answer(&mut asker.session(), &messages);
            assert_eq!(&fresh, answer, "{}: turn {turn}", question.id);
            messages.push(Message::assistant(fresh));
            compared += usize::from(turn > 0);
        }
    }
    assert!(compared > 0, "no question has a second turn");
}

#[test]
fn one_session_for_all_questions_gives_the_answers_of_one_for_each() {
    let model = model("q8_0");
    let asker = Asker::new(&model, USUAL);
    let mut session = asker.session();
    for question in questions(&["describe", "count", "read", "changed"], 12) {
        let messages = [asker.message(&question, 0)];
        let found = asker.answer(&mut session, &messages);
        assert_eq!(found, asker.answers(&question)[0], "{}", question.id);
    }
}
