//! Answers within constraints: always valid, and the model's own where the constraint allows them.

use super::{
    schemas::{regexes, schemas},
    support::{Asker, EXACT, Mode, Question, USUAL, model, questions, random_model, silent},
};
use pixtral::{
    ErrorKind,
    chat::{Message, Part, Prompt},
    constraint::{Constraint, ConstraintCompiler},
    session::{Event, Finish, GenerateOptions, SamplingOptions, Session, Speculation},
};
use regex::Regex;
use serde_json::{Value, json};
use std::ops::ControlFlow;

/// Long enough for nearly every answer drawn at random.
const MOST_TOKENS: usize = 600;

/// A trained model that was never asked for JSON repeats itself where it may.
const MOST_GREEDY_TOKENS: usize = 150;

fn compiler(session: &Session) -> ConstraintCompiler {
    ConstraintCompiler::new(session.model().tokenizer()).unwrap()
}

fn random(seed: u64) -> SamplingOptions {
    SamplingOptions {
        temperature: 1.0,
        seed: Some(seed),
        ..SamplingOptions::default()
    }
}

fn options(constraint: Constraint) -> GenerateOptions {
    GenerateOptions {
        max_tokens: Some(MOST_TOKENS),
        constraint: Some(constraint),
        ..GenerateOptions::default()
    }
}

/// Whether `text` is JSON that is valid by `schema`.
fn is_valid(schema: &Value, text: &str) -> bool {
    let name = "mem:///schema.json";
    let mut compiler = boon::Compiler::new();
    compiler.enable_format_assertions();
    compiler.add_resource(name, schema.clone()).unwrap();
    let mut schemas = boon::Schemas::new();
    let index = compiler.compile(name, &mut schemas).unwrap();
    let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
    schemas.validate(&value, index).is_ok()
}

/// Generates an answer to each constraint and passes complete ones to `check`.
#[track_caller]
fn answer_all(
    session: &mut Session,
    prompt: &Prompt,
    constraints: Vec<Constraint>,
    sampling: fn(u64) -> SamplingOptions,
    mut check: impl FnMut(usize, &str),
) {
    let n = constraints.len();
    let mut complete = 0;
    let (most, bound) = match sampling(0).temperature > 0.0 {
        true => (MOST_TOKENS, 97),
        false => (MOST_GREEDY_TOKENS, 60),
    };
    for (i, constraint) in constraints.into_iter().enumerate() {
        let options = GenerateOptions {
            sampling: sampling(i as u64),
            speculation: [Speculation::Auto, Speculation::Fixed(3)][i % 2],
            max_tokens: Some(most),
            ..options(constraint)
        };
        let answer = session.generate(prompt, &options, &mut silent).unwrap();
        match answer.finish {
            Finish::EndOfText => {
                complete += 1;
                check(i, &answer.text);
            }
            finish => assert_eq!(finish, Finish::MaxTokens),
        }
    }
    assert!(
        complete * 100 >= n * bound,
        "{complete} of {n} are complete"
    );
}

/// Lets `session` answer `prompt` by many schemas and regular expressions.
#[track_caller]
fn assert_valid(session: &mut Session, prompt: &Prompt, sampling: fn(u64) -> SamplingOptions) {
    let compiler = compiler(session);
    let schemas = schemas(300);
    let compiled = schemas.iter().map(|schema| {
        let constraint = compiler.json_schema(schema);
        constraint.unwrap_or_else(|e| panic!("{schema}: {e}"))
    });
    let compiled = compiled.collect();
    answer_all(session, prompt, compiled, sampling, |i, text| {
        assert!(is_valid(&schemas[i], text), "{}: {text}", schemas[i]);
    });

    let regexes = regexes(200);
    let compiled = regexes.iter().map(|regex| compiler.regex(regex).unwrap());
    let compiled = compiled.collect();
    answer_all(session, prompt, compiled, sampling, |i, text| {
        let whole = Regex::new(&format!("^(?:{})$", regexes[i])).unwrap();
        assert!(whole.is_match(text), "{}: {text:?}", regexes[i]);
    });
}

/// A question about a picture.
fn question() -> Question {
    questions(&["describe"], 1).swap_remove(0)
}

fn prompt(asker: &Asker) -> Prompt {
    asker.prompt(&[asker.message(&question(), 0)])
}

#[test]
fn every_answer_of_a_trained_model_is_valid() {
    let asker = Asker::new(&model("q8_0"), USUAL);
    assert_valid(&mut asker.session(), &prompt(&asker), |_| {
        SamplingOptions::default()
    });
}

#[test]
fn every_answer_drawn_from_noise_is_valid() {
    let asker = Asker::new(&random_model(), USUAL);
    let prompt = asker.prompt(&[Message::user([Part::text("What is this?")])]);
    assert_valid(&mut asker.session(), &prompt, random);
}

#[test]
fn an_answer_that_a_constraint_allows_is_the_answer_without_it() {
    let asker = Asker::new(&model("q8_0"), USUAL);
    let mut session = asker.session();
    let compiler = compiler(&session);
    let questions = questions(&["describe", "count", "colour", "position", "yesno"], 6);
    let free: Vec<_> = questions
        .iter()
        .map(|q| asker.generate(&mut session, &[asker.message(q, 0)]))
        .collect();
    let texts: Vec<String> = free.iter().map(|a| regex::escape(&a.text)).collect();
    let one_of_them = compiler.regex(&format!("({})", texts.join("|"))).unwrap();
    let anything = compiler.regex("(?s:.)*").unwrap();
    let mut forced = 0;
    for (question, free) in questions.iter().zip(&free) {
        let prompt = asker.prompt(&[asker.message(question, 0)]);
        for constraint in [&one_of_them, &anything] {
            let answer = session.generate(&prompt, &options(constraint.clone()), &mut silent);
            let answer = answer.unwrap();
            assert_eq!(answer.ids, free.ids, "{}", question.id);
            assert_eq!(answer.finish, Finish::EndOfText);
            forced += answer.forced;
        }
    }
    assert!(forced > 0, "nothing was certain");
}

/// An object whose names are long enough to be computed together.
fn report() -> Value {
    json!({
        "type": "object",
        "properties": {
            "description of the picture": {"type": "string", "maxLength": 40},
            "number of circles": {"type": "integer", "minimum": 0, "maximum": 9},
            "number of triangles": {"type": "integer", "minimum": 0, "maximum": 9},
        },
        "required": ["description of the picture", "number of circles", "number of triangles"],
        "additionalProperties": false,
    })
}

#[test]
fn what_is_computed_together_changes_no_answer() {
    let model = model("f32");
    let mut expected = Vec::new();
    for (n_ubatch, speculation) in [
        (1, Speculation::Off),
        (512, Speculation::Off),
        (5, Speculation::Fixed(3)),
        (512, Speculation::Fixed(8)),
    ] {
        let mode = Mode { n_ubatch, ..EXACT };
        let asker = Asker::new(&model, mode);
        let mut session = asker.session();
        let constraint = compiler(&session).json_schema(&report()).unwrap();
        let answers: Vec<_> = (0..4)
            .map(|seed| {
                let options = GenerateOptions {
                    speculation,
                    sampling: SamplingOptions {
                        repeat_penalty: 1.2,
                        ..random(seed)
                    },
                    ..options(constraint.clone())
                };
                let answer = session.generate(&prompt(&asker), &options, &mut silent);
                let answer = answer.unwrap();
                assert!(is_valid(&report(), &answer.text), "{}", answer.text);
                assert!(answer.forced > 10, "{}", answer.forced);
                answer.ids
            })
            .collect();
        if expected.is_empty() {
            expected = answers.clone();
        }
        assert_eq!(answers, expected, "{n_ubatch} {speculation:?}");
    }
}

#[test]
fn stop_strings_and_limits_cut_within_what_is_certain() {
    let asker = Asker::new(&model("q8_0"), USUAL);
    let prompt = prompt(&asker);
    let mut session = asker.session();
    let constraint = compiler(&session).json_schema(&report()).unwrap();
    let whole = session.generate(&prompt, &options(constraint.clone()), &mut silent);
    let whole = whole.unwrap();
    let stopped = GenerateOptions {
        stop: vec!["of circ".to_owned()],
        ..options(constraint.clone())
    };
    let answer = session.generate(&prompt, &stopped, &mut silent).unwrap();
    assert_eq!(answer.finish, Finish::StopString);
    assert!(answer.text.ends_with("number "), "{}", answer.text);
    assert!(whole.text.starts_with(&answer.text));
    for most in 1..whole.ids.len() {
        let cut = GenerateOptions {
            max_tokens: Some(most),
            ..options(constraint.clone())
        };
        let answer = session.generate(&prompt, &cut, &mut silent).unwrap();
        assert_eq!((answer.finish, answer.ids.len()), (Finish::MaxTokens, most));
        assert_eq!(answer.ids, whole.ids[..most]);
        assert_eq!(session.len(), prompt.ids.len() + most);
    }
}

#[test]
fn cancelling_within_what_is_certain_leaves_the_session_sound() {
    let asker = Asker::new(&model("q8_0"), USUAL);
    let prompt = prompt(&asker);
    let mut session = asker.session();
    let constraint = compiler(&session).json_schema(&report()).unwrap();
    let options = options(constraint);
    let whole = session.generate(&prompt, &options, &mut silent).unwrap();
    for wanted in 1..6 {
        let mut pieces = 0;
        let answer = session.generate(&prompt, &options, &mut |event| {
            pieces += usize::from(matches!(event, Event::Text(_)));
            match pieces >= wanted {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        assert_eq!(answer.unwrap().finish, Finish::Cancelled);
        let again = session.generate(&prompt, &options, &mut silent).unwrap();
        assert_eq!(again.ids, whole.ids);
    }
}

#[test]
fn a_dead_end_is_an_error_and_leaves_the_session_sound() {
    let asker = Asker::new(&model("q8_0"), USUAL);
    let prompt = prompt(&asker);
    let mut session = asker.session();
    let grammar = "start: \"The picture \" X\nX: /[a-c]+/ & /[d-f]+/";
    let constraint = compiler(&session).lark(grammar).unwrap();
    let e = session
        .generate(&prompt, &options(constraint), &mut silent)
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidArgument);
    assert!(e.message().contains("as its constraint demands"), "{e}");
    let free = asker.generate(&mut session, &[asker.message(&question(), 0)]);
    let fresh = asker.generate(&mut asker.session(), &[asker.message(&question(), 0)]);
    assert_eq!(free.ids, fresh.ids);
}

#[test]
fn a_constraint_and_going_on_after_the_end_exclude_each_other() {
    let asker = Asker::new(&random_model(), USUAL);
    let mut session = asker.session();
    let endless = GenerateOptions {
        ignore_eos: true,
        ..options(compiler(&session).json_object().unwrap())
    };
    let prompt = asker.prompt(&[Message::user([Part::text("a")])]);
    let e = session
        .generate(&prompt, &endless, &mut silent)
        .unwrap_err();
    assert!(e.message().contains("ignore_eos"), "{e}");
    assert!(session.is_empty(), "nothing was read");
}
