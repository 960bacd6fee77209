//! `pixtral inspect`, `tokenize`, `bench` and `fit`.

use super::support::{MODEL, assert_refused, golden, json, run, run_with_input, stdout, text};
use std::fs;

#[test]
fn inspect_shows_metadata_and_sizes_per_group() {
    let shown = stdout(&run(&["inspect", &text(&MODEL)]));
    for part in [
        "general.architecture",
        "vision",
        "embedding",
        "blk.0",
        "output",
        "total",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let report = json(&run(&["inspect", &text(&MODEL), "--json", "--tensors"]));
    let size = fs::metadata(&*MODEL).unwrap().len();
    assert_eq!(report["bytes"], size);
    assert!(report["total"]["bits_per_weight"].as_f64().unwrap() > 8.0);
    assert_eq!(
        report["tensors"].as_array().unwrap().len() as u64,
        report["total"]["tensors"].as_u64().unwrap()
    );
}

#[test]
fn verification_finds_a_single_turned_bit_and_names_the_tensor() {
    let verified = json(&run(&["inspect", &text(&MODEL), "--verify", "--json"]));
    assert_eq!(verified["verified_tensors"], verified["total"]["tensors"]);

    let report = json(&run(&["inspect", &text(&MODEL), "--json", "--tensors"]));
    let tensor = &report["tensors"][5];
    let at = tensor["offset"].as_u64().unwrap() as usize + 3;
    let mut bytes = fs::read(&*MODEL).unwrap();
    bytes[at] ^= 4;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.gguf");
    fs::write(&path, bytes).unwrap();
    let output = run(&["inspect", &text(&path), "--verify"]);
    let name = tensor["name"].as_str().unwrap();
    assert_refused(
        &output,
        &["damaged.gguf", name, "download or convert it again"],
    );
}

#[test]
fn text_becomes_tokens_and_tokens_become_text() {
    let tekken = text(&golden("checkpoint/mistral/tekken.json"));
    for model in [&text(&MODEL), &tekken] {
        let encoded = json(&run(&["tokenize", model, "Hello, wörld!", "--json"]));
        let ids: Vec<String> = encoded["ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.to_string())
            .collect();
        let count = stdout(&run_with_input(
            &["tokenize", model, "--count"],
            "Hello, wörld!".as_bytes(),
        ));
        assert_eq!(count.trim(), ids.len().to_string());
        let decoded = stdout(&run(&["tokenize", model, "--decode", &ids.join(" ")]));
        assert_eq!(decoded, "Hello, wörld!\n");
    }
}

#[test]
fn bench_measures_every_phase() {
    let report = json(&run(&[
        "bench",
        &text(&MODEL),
        "--image",
        "64x64",
        "--image",
        "100x40",
        "--prompt",
        "20",
        "--generate",
        "4",
        "--repetitions",
        "1",
        "--parallel",
        "3",
        "--json",
    ]));
    assert_eq!(report["encode"].as_array().unwrap().len(), 2);
    for pointer in [
        "/load_s",
        "/encode/0/time/median_s",
        "/prefill/tokens_per_s",
        "/decode/tokens_per_s",
        "/decode/bytes_per_token",
        "/decode/gigabytes_per_s",
        "/parallel/tokens_per_s",
        "/parallel/beside_encoding/median_s",
        "/parallel/beside_reading/median_s",
    ] {
        let value = report.pointer(pointer).and_then(|v| v.as_f64());
        assert!(value.is_some_and(|v| v > 0.0), "{pointer} in {report}");
    }
    assert!(report["cpu_variant"].is_string());
    assert_eq!(report["decode"]["after"], 20);
}

#[test]
fn bench_generates_after_a_context_that_it_did_not_read() {
    let model = text(&MODEL);
    let short = [
        "bench", &model, "--image", "16x16", "--prompt", "3", "--json",
    ];
    let report = json(&run(&[&short[..], &["--after", "500"]].concat()));
    assert_eq!(report["decode"]["after"], 500);
    assert_eq!(report["prefill"]["tokens"], 3);
    let refused = run(&[&short[..], &["--after", "500", "--ctx", "500"]].concat());
    assert_refused(
        &refused,
        &["--after 500 leaves no room in the context of 500 tokens"],
    );
}

#[test]
fn fit_says_what_a_machine_can_run() {
    let machine = ["--memory", "8GiB", "--bandwidth", "17GB/s"];
    let run_fit = |args: &[&str]| run(&[&["fit"], machine.as_slice(), args].concat());
    let report = json(&run_fit(&["--json"]));
    assert_eq!(report["memory_bytes"], 8u64 << 30);
    assert_eq!(report["bandwidth_measured"], false);
    let fits = report["fits"].as_array().unwrap();
    let of = |ty: &str| fits.iter().find(|fit| fit["model"] == ty).unwrap();
    assert_eq!(of("f16")["resident"], "nothing");
    let small = of("q3_k");
    assert_eq!(small["resident"], "all");
    assert!(small["context"].as_u64().unwrap() > 4096, "{small}");
    assert!(small["pictures"].as_u64().unwrap() > 0, "{small}");

    let shown = stdout(&run_fit(&["--type", "q3_k", "--type", "f16"]));
    assert!(shown.starts_with("8.0 GiB of memory"), "{shown}");
    assert!(
        shown.contains("too large") && !shown.contains("q4_k"),
        "{shown}"
    );

    let file = json(&run_fit(&[&text(&MODEL), "--kv-type", "q8_0", "--json"]));
    let fit = &file["fits"][0];
    assert_eq!(fit["resident"], "all");
    let speed = |name: &str| fit[name].as_f64().unwrap();
    assert!(speed("tokens_per_s") > speed("tokens_per_s_full"));
}

#[test]
fn fit_measures_what_it_is_not_told() {
    let report = json(&run(&[
        "fit", "--type", "q4_k", "--memory", "16GiB", "--json",
    ]));
    assert_eq!(report["bandwidth_measured"], true);
    assert!(report["bandwidth_bytes_per_s"].as_f64().unwrap() > 1e8);
}

#[test]
fn fit_wants_amounts_with_their_unit() {
    let output = run(&["fit", "--memory", "8"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("such as 8GiB"), "{said}");
}
