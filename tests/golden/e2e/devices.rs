//! The golden set with parts of the model on another device. Needs one: run with
//!
//! ```text
//! PIXTRAL_TEST_DEVICE=cuda0 cargo test --release --test golden -- --ignored --nocapture on_a_device
//! ```

use super::{
    case::{self, Case, relative_l2},
    model, runs,
};
use pixtral::{
    ggml::CancelFlag,
    preprocess::{PreparedImage, PreprocessOptions, Preprocessor},
    runtime::{
        Decoder, DecoderOptions, KvType, Model, Outputs, PlacementOptions, Placer, Run,
        VisionEncoder, placement::GpuLayers,
    },
    session::{GenerateOptions, Session, SessionOptions},
};
use std::{env, ops::ControlFlow, sync::Arc};

/// Matrix products of GPUs round f32 to 10 bits (TF32) and attention its keys and values to f16, so a
/// device cannot be held to the error of f32 on the CPU. Twice the largest seen on an H100 (2.1e-3, a
/// picture of 16×1 patches); docs/CUDA.md lists what was run.
const BOUND: f64 = 4e-3;

/// Recipes and their bounds against the reference, those of the CPU (`quantised.rs`) with the
/// device's own error on top: a guess, not yet run on a device.
const BOUNDS: [(&str, f64); 6] = [
    ("f32", BOUND),
    ("f16", 5e-3),
    ("bf16", 1.2e-2),
    ("q8_0", 0.046),
    ("q6_k", 0.104),
    ("q4_k", 0.372),
];

fn placement(layers: GpuLayers, vision: bool) -> PlacementOptions {
    let device = env::var("PIXTRAL_TEST_DEVICE").expect("PIXTRAL_TEST_DEVICE names a device");
    PlacementOptions {
        devices: Some(vec![device.parse().unwrap()]),
        gpu_layers: layers,
        vision_device: Some(if vision { device } else { "cpu".to_owned() }),
        ..PlacementOptions::default()
    }
}

fn placed(model: &Arc<Model>, n_ctx: usize, kv_type: KvType, to: PlacementOptions) -> Decoder {
    let options = DecoderOptions {
        n_ctx,
        n_ubatch: n_ctx,
        kv_type,
        n_threads: 1,
        reserve_bytes: 0,
        n_sequences: 1,
    };
    let mut placer = Placer::new(to).unwrap();
    placer
        .decoder(model, &options, &CancelFlag::default(), &mut |_| {
            ControlFlow::Continue(())
        })
        .unwrap()
}

fn encoder(decoder: &Decoder) -> VisionEncoder {
    VisionEncoder::of(decoder.placed_model().clone(), 1, CancelFlag::default()).unwrap()
}

/// Logits of every position of a case.
fn logits(model: &Arc<Model>, case: &Case, kv_type: KvType, to: PlacementOptions) -> Vec<f32> {
    let prompt = case.prompt(model.config().vision.patch_size);
    let mut decoder = placed(model, prompt.ids.len(), kv_type, to);
    let mut encoder = encoder(&decoder);
    let embeddings: Vec<_> = (prompt.images.iter())
        .map(|image| encoder.encode(image, &mut |_, _| ()).unwrap())
        .collect();
    let rows = runs::image_rows(model, &prompt, &embeddings);
    let mut logits = Vec::new();
    let run = Run {
        ids: &prompt.ids,
        image_rows: &rows,
    };
    decoder.append(&run, Outputs::All, &mut logits).unwrap();
    logits
}

#[test]
#[ignore = "needs a device beside the CPU"]
fn every_type_on_a_device_stays_within_its_error() {
    for (ty, bound) in BOUNDS {
        let model = model::golden(ty);
        let n_vocab = model.config().text.vocab_size as usize;
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        for case in case::all() {
            let logits = logits(&model, &case, KvType::F16, placement(GpuLayers::All, true));
            found.extend_from_slice(&logits[logits.len() - n_vocab..]);
            expected.extend(case.expect_floats("logits_last"));
        }
        let error = relative_l2(&found, &expected);
        println!("{ty}: logits {error:.2e}");
        assert!(error < bound, "{ty}: logits differ by {error:.2e}");
    }
}

#[test]
#[ignore = "needs a device beside the CPU"]
fn any_number_of_layers_on_a_device_gives_the_reference_s_logits() {
    let model = model::golden("f32");
    for kv_type in [KvType::F32, KvType::F16] {
        for case in case::all() {
            let expected = case.expect_floats("logits_last");
            for layers in 0..=model.config().text.block_count as usize {
                for vision in [false, true] {
                    let to = placement(GpuLayers::Count(layers), vision);
                    let found = logits(&model, &case, kv_type, to);
                    let last = &found[found.len() - expected.len()..];
                    let error = relative_l2(last, &expected);
                    println!(
                        "{} {kv_type} {layers} layers, vision {vision}: {error:.2e}",
                        case.name
                    );
                    assert!(error < BOUND, "{}: {error:.2e}", case.name);
                }
            }
        }
    }
}

/// A picture with something in it everywhere.
fn picture(model: &Model, width: u32, height: u32) -> PreparedImage {
    let n = 3 * width * height;
    let rgb: Vec<u8> = (0..n)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    Preprocessor::new(&model.config().vision, PreprocessOptions::default())
        .prepare_rgb(width, height, &rgb)
        .unwrap()
}

#[test]
#[ignore = "needs a device beside the CPU"]
fn pictures_of_odd_sizes_on_a_device_give_the_cpu_s_rows() {
    const SIZES: [(u32, u32); 10] = [
        (16, 16),
        (17, 16),
        (1, 256),
        (256, 16),
        (33, 250),
        (100, 40),
        (112, 208),
        (241, 255),
        (256, 240),
        (256, 256),
    ];
    let model = model::golden("f32");
    let mut on_cpu = VisionEncoder::new(model.clone(), 1, CancelFlag::default()).unwrap();
    let decoder = placed(
        &model,
        16,
        KvType::F16,
        placement(GpuLayers::Count(0), true),
    );
    let mut on_device = encoder(&decoder);
    assert!(on_device.is_offloaded());
    for (width, height) in SIZES {
        let image = picture(&model, width, height);
        let expected = on_cpu.encode(&image, &mut |_, _| ()).unwrap();
        let found = on_device.encode(&image, &mut |_, _| ()).unwrap();
        let error = relative_l2(&found.values, &expected.values);
        let grid = image.grid;
        println!(
            "{width}x{height}: {} by {} patches: {error:.2e}",
            grid.rows, grid.cols
        );
        assert!(
            error < BOUND,
            "{width}x{height}: rows differ by {error:.2e}"
        );
    }
}

#[test]
#[ignore = "needs a device beside the CPU"]
fn greedy_answers_on_a_device_are_the_reference_s() {
    let model = model::golden("f32");
    for case in case::all() {
        let expected = case.ids("greedy");
        let options = SessionOptions {
            kv_type: KvType::F16,
            n_threads: Some(1),
            n_ctx: Some(1024),
            placement: placement(GpuLayers::All, true),
            ..Default::default()
        };
        let asked = GenerateOptions {
            max_tokens: Some(expected.len()),
            ignore_eos: true,
            ..Default::default()
        };
        let prompt = case.prompt(model.config().vision.patch_size);
        let mut session = Session::new(model.clone(), options).unwrap();
        let answer = session
            .generate(&prompt, &asked, &mut runs::silent)
            .unwrap();
        assert_eq!(answer.ids, expected, "{}", case.name);
    }
}
