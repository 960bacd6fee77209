//! How a prompt is cut into batches, or read over several turns, must not matter.

use super::{
    case::{self, relative_l2},
    model, runs,
};
use pixtral::{chat::Prompt, runtime::KvType, session::Session};

const BOUND: f64 = 1e-4;

fn logits(session: &mut Session, prompt: &Prompt) -> Vec<f32> {
    session.read(prompt, &mut runs::silent).unwrap();
    session.logits().to_vec()
}

#[test]
fn any_ubatch_gives_the_same_logits_even_when_it_splits_pictures() {
    let model = model::golden("f32");
    for case in case::all() {
        let prompt = case.prompt(model.config().vision.patch_size);
        let whole = logits(
            &mut runs::session(&model, prompt.ids.len(), KvType::F32),
            &prompt,
        );
        for n_ubatch in [1, 7, 64] {
            let found = logits(&mut runs::session(&model, n_ubatch, KvType::F32), &prompt);
            let error = relative_l2(&found, &whole);
            assert!(
                error < BOUND,
                "{}: ubatch {n_ubatch} differs by {error:.2e}",
                case.name
            );
        }
    }
}

#[test]
fn reading_turn_by_turn_gives_the_same_logits_as_reading_all_at_once() {
    let model = model::golden("f32");
    let vision = &model.config().vision;
    for case in case::all() {
        let prompt = case.prompt(vision.patch_size);
        let expected = logits(&mut runs::session(&model, 512, KvType::F32), &prompt);
        let mut session = runs::session(&model, 512, KvType::F32);
        // Every beginning that does not end within a picture.
        let mut n_known = 0;
        for end in (1..prompt.ids.len()).step_by(5) {
            let Some(part) = beginning(&prompt, end, vision.image_token_id) else {
                continue;
            };
            let reading = session.read(&part, &mut runs::silent).unwrap();
            assert_eq!(reading.n_reused, n_known, "{}", case.name);
            n_known = end;
        }
        let reading = session.read(&prompt, &mut runs::silent).unwrap();
        assert_eq!(reading.n_reused, n_known, "{}", case.name);
        let error = relative_l2(session.logits(), &expected);
        assert!(error < BOUND, "{}: differs by {error:.2e}", case.name);
    }
}

/// The first `end` ids with the pictures they contain, unless a picture would be cut.
fn beginning(prompt: &Prompt, end: usize, image_token: u32) -> Option<Prompt> {
    let mut patches = prompt.ids[..end]
        .iter()
        .filter(|&&id| id == image_token)
        .count();
    let mut images = Vec::new();
    for image in &prompt.images {
        if patches == 0 {
            break;
        }
        patches = patches.checked_sub((image.grid.rows * image.grid.cols) as usize)?;
        images.push(image.clone());
    }
    Some(Prompt {
        ids: prompt.ids[..end].to_vec(),
        images,
    })
}

#[test]
fn another_beginning_forgets_what_differs_and_nothing_else() {
    let model = model::golden("f32");
    let cases = case::all();
    let mut session = runs::session(&model, 512, KvType::F32);
    for case in cases.iter().chain(cases.iter().rev()) {
        let prompt = case.prompt(model.config().vision.patch_size);
        let expected = logits(&mut runs::session(&model, 512, KvType::F32), &prompt);
        let error = relative_l2(&logits(&mut session, &prompt), &expected);
        assert!(error < BOUND, "{}: differs by {error:.2e}", case.name);
    }
}

#[test]
fn pictures_of_one_request_do_not_see_each_other() {
    let model = model::golden("f32");
    let mut most = 0;
    for case in case::all() {
        let prompt = case.prompt(model.config().vision.patch_size);
        most = most.max(prompt.images.len());
        let together = runs::embed(&model, &prompt);
        assert_eq!(together.len(), prompt.images.len());
        for (image, embedding) in prompt.images.iter().zip(together) {
            let alone = runs::embed_alone(&model, image);
            assert_eq!(embedding.grid, alone.grid);
            let error = relative_l2(&embedding.values, &alone.values);
            assert!(error < BOUND, "{}: differs by {error:.2e}", case.name);
        }
    }
    assert!(most > 1, "no case has several pictures");
}
