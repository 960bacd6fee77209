//! Drafts must not change what is generated.

use super::{case, model, runs};
use pixtral::{
    runtime::KvType,
    session::{Finish, GenerateOptions, Speculation},
};

#[test]
fn greedy_answers_with_drafts_of_any_length_are_the_reference_s() {
    let model = model::golden("f32");
    let mut drafted = 0;
    for case in case::all() {
        let prompt = case.prompt(model.config().vision.patch_size);
        let expected = case.ids("greedy");
        let mut session = runs::session(&model, 512, KvType::F32);
        for length in 1..=8 {
            let options = GenerateOptions {
                max_tokens: Some(expected.len()),
                ignore_eos: true,
                speculation: Speculation::Fixed(length),
                ..GenerateOptions::default()
            };
            let answer = session
                .generate(&prompt, &options, &mut runs::silent)
                .unwrap();
            assert_eq!(answer.ids, expected, "{}: {length}", case.name);
            assert_eq!(answer.finish, Finish::MaxTokens);
            assert_eq!(session.len(), prompt.ids.len() + expected.len());
            drafted += answer.drafted;
        }
    }
    assert!(drafted > 0, "no case proposed a draft");
}

#[test]
fn a_batch_of_one_token_leaves_no_room_for_drafts() {
    let model = model::golden("f32");
    let case = &case::all()[0];
    let prompt = case.prompt(model.config().vision.patch_size);
    let options = GenerateOptions {
        max_tokens: Some(8),
        ignore_eos: true,
        speculation: Speculation::Fixed(8),
        ..GenerateOptions::default()
    };
    let answer = runs::session(&model, 1, KvType::F32)
        .generate(&prompt, &options, &mut runs::silent)
        .unwrap();
    assert_eq!(answer.ids, case.ids("greedy")[..8]);
    assert_eq!(answer.drafted, 0);
}
