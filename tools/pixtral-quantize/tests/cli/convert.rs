//! Conversions that succeed, and plans.

use crate::support::Place;
use pixtral::runtime::Model;
use std::{fs, path::Path};

#[test]
fn the_golden_checkpoint_becomes_a_model() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/golden/checkpoint/mistral")
        .canonicalize()
        .unwrap();
    let place = Place::new();
    let mut command = place.command("q4_k -o golden.gguf");
    let output = command.arg(golden).output().unwrap();
    let outcome = crate::support::Outcome::from(output);
    // Without a terminal there is no progress bar to clutter logs.
    assert_eq!(outcome.stderr, "");
    let report = outcome.ok();
    assert!(report.contains("decoder    q4_k"), "{report}");
    assert!(report.contains("RMS error"), "{report}");
    assert!(report.contains("golden.gguf written in"), "{report}");
    Model::open(place.path("golden.gguf")).unwrap();
}

#[test]
fn the_default_name_is_the_checkpoint_s_and_the_type_s() {
    let place = Place::with_checkpoint();
    place.run("q8_0 tiny").ok();
    // A file of the checkpoint stands for its folder.
    place.run("f16 tiny/params.json").ok();
    assert_eq!(place.files("gguf"), ["tiny-f16.gguf", "tiny-q8_0.gguf"]);
    assert_eq!(place.files("partial"), [""; 0]);
}

#[test]
fn a_dry_run_tells_the_size_and_writes_nothing() {
    let place = Place::with_checkpoint();
    let plan = place.run("q4_k tiny --dry-run --json").ok();
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let text = place.run("q4_k tiny --dry-run").ok();
    assert!(text.contains("tiny-q4_k.gguf would be written"), "{text}");
    assert!(text.contains("GB are free there"), "{text}");
    assert_eq!(place.files("gguf"), [""; 0]);
    assert_eq!(place.files("partial"), [""; 0]);

    let report = place.run("q4_k tiny --json").ok();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let size = fs::metadata(place.path("tiny-q4_k.gguf")).unwrap().len();
    assert_eq!(plan["file_bytes"], size);
    assert_eq!(report["file_bytes"], size);
    assert!(plan["free_bytes"].as_u64().unwrap() > 0);
    assert_eq!(plan["groups"][0]["rms_error"], serde_json::Value::Null);
    assert!(report["groups"][0]["rms_error"].as_f64().unwrap() >= 0.0);
    assert_eq!(report["file"], "tiny-q4_k.gguf");
}

#[test]
fn types_can_be_set_for_the_vision_half_and_by_name() {
    let place = Place::with_checkpoint();
    let args = "q4_k tiny -o x.gguf --vision-type f16 --tensor-type attn_q=q8_0 \
                --tensor-type ^blk\\.0\\.=q6_k";
    place.run(args).ok();
    let model = Model::open(place.path("x.gguf")).unwrap();
    let ty = |name: &str| model.file().tensor(name).unwrap().ty.name();
    assert_eq!(ty("v.blk.0.ffn_up.weight"), "f16");
    assert_eq!(ty("v.blk.0.attn_q.weight"), "q8_0");
    assert_eq!(ty("blk.0.attn_q.weight"), "q6_k");
    assert_eq!(ty("blk.1.attn_q.weight"), "q8_0");
    assert_eq!(ty("blk.1.attn_k.weight"), "q4_k");
}

#[test]
fn threads_and_overwriting_change_no_byte() {
    let place = Place::with_checkpoint();
    place.run("q5_k tiny -o x.gguf").ok();
    let first = place.read("x.gguf");
    let again = "q5_k tiny -o x.gguf --threads 1 --overwrite --no-resume";
    place.run(again).ok();
    assert!(first == place.read("x.gguf"));
}

#[test]
fn usage_errors_have_an_exit_code_of_their_own() {
    let place = Place::new();
    for args in [
        "",
        "q4_k",
        "q9_k tiny",
        "q4_k tiny --threads 0",
        "q4_k tiny --vision-type i32",
        "q4_k tiny --tensor-type output",
        "q4_k tiny --tensor-type (=q8_0",
        "synth",
        "synth q4_k",
        "synth q4_k --checkpoint x",
        "synth --shape tiny q4_k -o x.gguf --shards 2",
        "synth --shape tiny q4_k -o x.gguf --layers 0",
    ] {
        let outcome = place.run(args);
        assert_eq!(outcome.code, Some(2), "{args}: {}", outcome.stderr);
    }
    for args in ["--help", "-h", "--version", "synth --help"] {
        place.run(args).ok();
    }
}
