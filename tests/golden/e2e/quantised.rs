//! What quantisation costs, per type: relative error against the f32 reference.

use super::{
    case::{self, relative_l2},
    model, runs,
};
use pixtral::runtime::KvType;

/// Type and the largest relative error allowed of logits and of the projector's rows: the
/// measured value (docs/MODEL.md) with a margin of about a third.
const BOUNDS: [(&str, f64); 6] = [
    ("bf16", 0.01),
    ("f16", 0.01),
    ("q8_0", 0.02),
    ("q6_k", 0.05),
    ("q5_k", 0.1),
    ("q4_k", 0.2),
];

#[test]
fn each_type_stays_within_its_error() {
    for (ty, bound) in BOUNDS {
        let model = model::golden(ty);
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        for case in case::all() {
            let prompt = case.prompt(model.config().vision.patch_size);
            let n_vocab = model.config().text.vocab_size as usize;
            let logits = runs::all_logits(&model, &prompt, KvType::F16);
            found.extend_from_slice(&logits[logits.len() - n_vocab..]);
            expected.extend(case.expect_floats("logits_last"));
        }
        let error = relative_l2(&found, &expected);
        println!("{ty}: logits {error:.2e}");
        assert!(error < bound, "{ty}: logits differ by {error:.2e}");
    }
}
