//! Right answers.

use super::support::{Asker, Mode, Question, USUAL, model, questions};
use pixtral::runtime::KvType;

/// Kinds that one picture and one question make.
const SIMPLE: [&str; 8] = [
    "count", "colour", "shape", "position", "read", "yesno", "highest", "text",
];

#[track_caller]
fn assert_right(asker: &Asker, questions: &[Question], bound: f64) {
    let accuracy = asker.accuracy(questions);
    println!("{:.1} % of {}", 100.0 * accuracy, questions.len());
    assert!(
        accuracy >= bound,
        "{accuracy} of {} questions",
        questions.len()
    );
}

#[test]
fn simple_questions_about_one_picture() {
    let asker = Asker::new(&model("q4_k"), USUAL);
    assert_right(&asker, &questions(&SIMPLE, 3), 0.95);
}

#[test]
fn what_changed_between_two_pictures() {
    let asker = Asker::new(&model("q4_k"), USUAL);
    assert_right(&asker, &questions(&["changed"], 1), 0.95);
}

#[test]
fn later_turns_of_a_conversation() {
    let asker = Asker::new(&model("q4_k"), USUAL);
    assert_right(&asker, &questions(&["followup", "chat"], 2), 0.95);
}

#[test]
fn a_quantised_cache() {
    let mode = Mode {
        kv_type: KvType::Q8_0,
        ..USUAL
    };
    let asker = Asker::new(&model("q8_0"), mode);
    assert_right(&asker, &questions(&SIMPLE, 5), 0.95);
}

/// The control: answers come from the picture, not from the question alone.
#[test]
fn another_picture_makes_answers_wrong() {
    let mut questions = questions(&["colour", "read", "highest", "describe"], 4);
    let mut pictures: Vec<_> = questions.iter().map(|q| q.pictures.clone()).collect();
    pictures.rotate_right(1);
    for (question, pictures) in questions.iter_mut().zip(pictures) {
        question.pictures = pictures;
    }
    let accuracy = Asker::new(&model("q8_0"), USUAL).accuracy(&questions);
    assert!(accuracy < 0.4, "{accuracy}");
}
