//! A worker that is killed: an error or a note, and a session that goes on.

use super::worker::{Worker, assert_expected, on, prompt, read, session};
use pixtral::{
    ErrorKind,
    runtime::PlacementOptions,
    session::{Event, GenerateOptions},
};
use std::ops::ControlFlow;

/// Two workers and a session on both.
fn two() -> ([Worker; 2], PlacementOptions) {
    let workers = [Worker::start("1GiB"), Worker::start("1GiB")];
    let placement = PlacementOptions {
        tensor_split: vec![1.0, 1.0],
        ..on(&[&workers[0], &workers[1]], 2, "cpu")
    };
    (workers, placement)
}

#[test]
fn a_question_after_a_worker_was_killed_is_answered_by_the_others() {
    let ([mut first, mut second], placement) = two();
    let mut session = session(placement);
    assert_expected(&read(&mut session).1, "two workers");

    first.kill();
    let (notes, logits) = read(&mut session);
    assert!(notes[0].contains(&first.address), "{notes:?}");
    assert_expected(&logits, "one worker");
    let plan = session.plan();
    assert_eq!(plan.devices.len(), 2);
    assert_eq!(plan.devices[0].name, second.name());
    assert!(plan.devices[0].n_layers > 0);

    second.kill();
    assert_expected(&read(&mut session).1, "no worker");
    assert!(session.plan().is_cpu_only());
}

#[test]
fn an_answer_during_which_a_worker_is_killed_is_an_error_and_the_session_goes_on() {
    let ([mut first, _second], placement) = two();
    let mut session = session(placement);
    let options = GenerateOptions {
        max_tokens: Some(200),
        ignore_eos: true,
        ..GenerateOptions::default()
    };
    let error = session
        .generate(&prompt(), &options, &mut |event| {
            if let Event::Text(_) = event {
                first.kill();
            }
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeviceLost);
    assert!(error.message().contains(&first.address), "{error}");
    assert_expected(&read(&mut session).1, "the other worker");
}

#[test]
#[cfg(unix)]
fn an_interrupted_worker_ends_cleanly_whoever_is_there() {
    let worker = Worker::start("1GiB");
    let mut session = session(on(&[&worker], 1, "cpu"));
    assert_expected(&read(&mut session).1, "one worker");
    let (status, said) = worker.interrupt();
    assert_eq!(status.code(), Some(0));
    assert!(said.contains("has come; 0 B in use"), "{said}");
    assert!(said.contains("has left after"), "{said}");
    assert_expected(&read(&mut session).1, "no worker");
}
