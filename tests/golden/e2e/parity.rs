//! f32 against the reference: inner results, logits, greedy answers.

use super::{
    case::{self, Case, relative_l2},
    model, runs,
};
use pixtral::{
    runtime::{KvType, Model},
    session::{Finish, GenerateOptions},
};

/// The three reference implementations agree to 2e-6; see the golden set's README.
const BOUND: f64 = 1e-5;

#[track_caller]
fn assert_near(case: &Case, name: &str, found: &[f32]) {
    let error = relative_l2(found, &case.expect_floats(name));
    assert!(
        error < BOUND,
        "{}: {name} differs by {error:.2e}",
        case.name
    );
}

fn patch_size(model: &Model) -> u32 {
    model.config().vision.patch_size
}

#[test]
fn the_projector_s_rows_are_the_reference_s() {
    let model = model::golden("f32");
    for case in case::all() {
        let prompt = case.prompt(patch_size(&model));
        if prompt.images.is_empty() {
            continue;
        }
        let rows: Vec<f32> = runs::embed(&model, &prompt)
            .into_iter()
            .flat_map(|e| e.values)
            .collect();
        assert_near(&case, "projector", &rows);
    }
}

#[test]
fn every_layer_s_output_is_the_reference_s() {
    let model = model::golden("f32");
    let mut compared = 0;
    for case in case::all() {
        let prompt = case.prompt(patch_size(&model));
        let wanted = ["patch_embed", "ln_pre", "vit.", "txt."]
            .map(|p| case.names(p))
            .concat();
        if wanted.is_empty() {
            continue;
        }
        let mut found = runs::trace_vision(&model, &prompt);
        found.extend(runs::trace_decoder(&model, &prompt));
        for name in wanted {
            let values = found.iter().find(|(n, _)| *n == name);
            assert_near(
                &case,
                &name,
                &values.unwrap_or_else(|| panic!("no {name}")).1,
            );
            compared += 1;
        }
    }
    println!("{compared} inner results compared");
}

#[test]
fn logits_of_every_position_are_the_reference_s() {
    let model = model::golden("f32");
    let n_vocab = model.config().text.vocab_size as usize;
    for case in case::all() {
        let prompt = case.prompt(patch_size(&model));
        let logits = runs::all_logits(&model, &prompt, KvType::F32);
        let rows: Vec<&[f32]> = logits.chunks_exact(n_vocab).collect();
        assert_near(&case, "logits_last", rows[rows.len() - 1]);
        if case.floats("logits").is_some() {
            assert_near(&case, "logits", &logits);
        }
        let columns = case.ids("logit_columns");
        let picked: Vec<f32> = rows
            .iter()
            .flat_map(|row| columns.iter().map(|&column| row[column as usize]))
            .collect();
        assert_near(&case, "logits_at_columns", &picked);
        let sums: Vec<f32> = rows.iter().map(|row| log_sum_exp(row)).collect();
        assert_near(&case, "log_sum_exp", &sums);
        let best: Vec<f32> = (case.ids("top_id").chunks(8).zip(&rows))
            .flat_map(|(ids, row)| ids.iter().map(|&id| row[id as usize]).collect::<Vec<_>>())
            .collect();
        assert_near(&case, "top_logit", &best);
    }
}

#[test]
fn greedy_answers_are_the_reference_s() {
    let model = model::golden("f32");
    for case in case::all() {
        let expected = case.ids("greedy");
        let options = GenerateOptions {
            max_tokens: Some(expected.len()),
            ignore_eos: true,
            ..Default::default()
        };
        let answer = runs::session(&model, 512, KvType::F32)
            .generate(
                &case.prompt(patch_size(&model)),
                &options,
                &mut runs::silent,
            )
            .unwrap();
        assert_eq!(answer.ids, expected, "{}", case.name);
        assert_eq!(answer.finish, Finish::MaxTokens);
    }
}

#[test]
fn probabilities_along_the_greedy_answer_are_the_reference_s() {
    let model = model::golden("f32");
    let n_vocab = model.config().text.vocab_size as usize;
    for case in case::all() {
        let mut prompt = case.prompt(patch_size(&model));
        let greedy = case.ids("greedy");
        let first = prompt.ids.len() - 1;
        prompt.ids.extend(&greedy[..greedy.len() - 1]);
        let logits = runs::all_logits(&model, &prompt, KvType::F32);
        let found: Vec<f32> = (logits.chunks_exact(n_vocab).skip(first).zip(&greedy))
            .map(|(row, &id)| row[id as usize] - log_sum_exp(row))
            .collect();
        for (found, expected) in found.iter().zip(case.expect_floats("greedy_logprob")) {
            assert!(
                (found - expected).abs() < 1e-4,
                "{}: {found} {expected}",
                case.name
            );
        }
    }
}

fn log_sum_exp(row: &[f32]) -> f32 {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&x| f64::from(x - most).exp()).sum();
    (f64::from(most) + sum.ln()) as f32
}
