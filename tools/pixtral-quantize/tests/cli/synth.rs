//! Files and checkpoints of random weights.

use crate::support::Place;
use pixtral::{checkpoint::Checkpoint, runtime::Model};
use std::ops::ControlFlow;

#[test]
fn a_synthetic_file_opens_and_verifies() {
    let place = Place::new();
    let args = "synth --shape tiny --layers 3 --vision-layers 1 q4_k -o x.gguf";
    let report = place.run(args).ok();
    assert!(report.contains("decoder    q6_k"), "{report}");
    let model = Model::open(place.path("x.gguf")).unwrap();
    assert_eq!(model.config().text.block_count, 3);
    assert_eq!(model.config().vision.block_count, 1);
    let verified = model.file().verify(|_, _| ControlFlow::Continue(()));
    verified.unwrap();

    let again = place.run(args).error();
    assert!(again.contains("x.gguf: exists already"), "{again}");
    let first = place.read("x.gguf");
    let other_seed = format!("{args} --seed 1 --overwrite");
    place.run(&other_seed).ok();
    assert!(first != place.read("x.gguf"));
}

#[test]
fn a_synthetic_checkpoint_converts_and_is_not_replaced_unasked() {
    let place = Place::new();
    let args = "synth --shape tiny --checkpoint c --shards 2";
    place.run(args).ok();
    let checkpoint = Checkpoint::open(&place.path("c")).unwrap();
    assert_eq!(checkpoint.notes(), [""; 0]);
    place.run("q8_0 c").ok();
    Model::open(place.path("c-q8_0.gguf")).unwrap();
    let again = place.run(args).error();
    assert!(again.contains("c: holds a checkpoint already"), "{again}");
    place.run(&format!("{args} --overwrite")).ok();
}
