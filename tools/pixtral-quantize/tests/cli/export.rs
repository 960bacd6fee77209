//! llama.cpp's pair of files.

use crate::support::Place;
use pixtral::gguf::File;

#[test]
fn the_pair_is_written_and_not_replaced_unasked() {
    let place = Place::new();
    place.run("synth --shape tiny q4_k -o x.gguf").ok();
    let args = "export x.gguf --text text.gguf --mmproj mmproj.gguf";
    let report = place.run(args).ok();
    assert!(report.contains("text.gguf: 39 tensors"), "{report}");
    let architecture = |name| {
        let file = File::open(place.path(name)).unwrap();
        file.metadata()
            .str("general.architecture")
            .unwrap()
            .to_owned()
    };
    assert_eq!(architecture("text.gguf"), "llama");
    assert_eq!(architecture("mmproj.gguf"), "clip");

    let again = place.run(args).error();
    assert!(again.contains("text.gguf: exists already"), "{again}");
    let report = place.run(&format!("{args} --overwrite --json")).ok();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["text"]["tensors"], 39);
    let half = place
        .run("export text.gguf --text a.gguf --mmproj b.gguf")
        .error();
    assert!(half.contains("text model in llama.cpp's form"), "{half}");
}
