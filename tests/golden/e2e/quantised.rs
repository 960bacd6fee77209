//! What quantisation costs, per type: relative error against the f32 reference.

use super::{
    case::{self, relative_l2},
    model, runs,
};
use pixtral::runtime::KvType;

/// Recipe and the largest relative error allowed of the last logits: the measured value
/// (docs/MODEL.md) with a margin of a third.
const BOUNDS: [(&str, f64); 12] = [
    ("bf16", 8.3e-3),
    ("f16", F16),
    ("q8_0", 0.043),
    ("q6_k", 0.101),
    ("q5_k", 0.177),
    ("q5_0", 0.237),
    ("q4_k", 0.369),
    ("q4_0", 0.411),
    ("iq4_nl", 0.374),
    ("iq4_xs", 0.375),
    ("q3_k", 0.604),
    ("q2_k", 0.994),
];

/// Where ARM processors compute with f16, ggml adds products of f16 in f16 too.
const F16: f64 = if cfg!(target_arch = "aarch64") {
    5.3e-3
} else {
    1.7e-3
};

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
