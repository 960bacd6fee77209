//! From the request and the picture files themselves: the reference's ids, pixels and answers.

use super::{
    super::support,
    case::{self, relative_l2},
    model, runs,
};
use pixtral::{
    chat::{ChatRequest, ChatTemplate, Prompt},
    preprocess::{PreprocessOptions, Preprocessor},
    runtime::{KvType, Model},
    session::GenerateOptions,
};

/// The prompt of a case made by our own template and preprocessing.
fn prompt(model: &Model, case: &case::Case) -> Prompt {
    let vision = &model.config().vision;
    let preprocessor = Preprocessor::new(vision, PreprocessOptions::default());
    let request = ChatRequest::from_json(&case.request).unwrap();
    ChatTemplate::new(model.tokenizer(), vision)
        .and_then(|template| {
            template.encode(&request, &mut |url| support::picture(&preprocessor, url))
        })
        .unwrap_or_else(|e| panic!("{}: {e}", case.name))
}

#[test]
fn requests_and_picture_files_give_the_reference_s_prompt() {
    let model = model::golden("f32");
    for case in case::all() {
        let found = prompt(&model, &case);
        let expected = case.prompt(model.config().vision.patch_size);
        assert_eq!(found.ids, expected.ids, "{}", case.name);
        assert_eq!(found.images.len(), expected.images.len(), "{}", case.name);
        for (found, expected) in found.images.iter().zip(&expected.images) {
            assert_eq!(found.grid, expected.grid, "{}", case.name);
            let most = (found.pixels.iter().zip(&expected.pixels))
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(most < 1e-5, "{}: a pixel differs by {most}", case.name);
        }
    }
}

#[test]
fn requests_and_picture_files_give_the_reference_s_answers() {
    let model = model::golden("f32");
    for case in case::all() {
        let prompt = prompt(&model, &case);
        let mut session = runs::session(&model, 512, KvType::F32);
        session.read(&prompt, &mut runs::silent).unwrap();
        let error = relative_l2(session.logits(), &case.expect_floats("logits_last"));
        // 1e-5 of the reference's own spread, and as much again for the pixels.
        assert!(error < 2e-5, "{}: logits differ by {error:.2e}", case.name);
        let expected = case.ids("greedy");
        let options = GenerateOptions {
            max_tokens: Some(expected.len()),
            ignore_eos: true,
            ..GenerateOptions::default()
        };
        let answer = session
            .generate(&prompt, &options, &mut runs::silent)
            .unwrap();
        assert_eq!(answer.ids, expected, "{}", case.name);
    }
}
