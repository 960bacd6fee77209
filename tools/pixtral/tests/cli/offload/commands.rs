//! The commands about devices, and the arguments that choose them.

use super::worker::Worker;
use crate::support::{MODEL, assert_refused, json, picture, run, stderr, stdout, text};

/// `describe` of a picture with `args`.
fn describe(args: &[&str]) -> std::process::Output {
    let (model, image) = (text(&MODEL), picture("i0.png"));
    let always = ["describe", &model, &image, "-n", "4"];
    run(&[always.as_slice(), args].concat())
}

#[test]
fn devices_lists_the_processor_and_workers() {
    let worker = Worker::start("64MiB");
    let table = stdout(&run(&["devices", "--worker", &worker.address]));
    assert!(table.contains("64.0 MiB"), "{table}");
    let list = json(&run(&["devices", "--json", "--worker", &worker.address]));
    let kinds: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["kind"].as_str().unwrap())
        .collect();
    assert!(
        kinds.contains(&"cpu") && kinds.ends_with(&["remote"]),
        "{kinds:?}"
    );
    assert_eq!(list[kinds.len() - 1]["total_bytes"], 64 << 20);
}

#[test]
fn a_plan_can_be_looked_at_without_carrying_it_out() {
    let worker = Worker::start("64MiB");
    let device = worker.name();
    let plan_of = |args: &[&str]| {
        json(&describe(
            &[["--plan-only", "--json"].as_slice(), args].concat(),
        ))
    };
    let plan = plan_of(&["--device", &device, "--gpu-layers", "2"]);
    assert_eq!(plan["layers"], serde_json::json!(["cpu", device, device]));
    assert_eq!(
        (&plan["vision"], &plan["embedding"]),
        (&"cpu".into(), &"cpu".into())
    );
    let used = ["weights", "cache", "work"].map(|part| {
        plan["devices"][0][format!("{part}_bytes")]
            .as_u64()
            .unwrap()
    });
    assert!(used.iter().all(|&bytes| bytes > 0), "{plan}");
    assert!(used.iter().sum::<u64>() <= plan["devices"][0]["budget_bytes"].as_u64().unwrap());

    let none = plan_of(&["--device", "cpu"]);
    assert_eq!(none["devices"].as_array().unwrap().len(), 1);
    let table = stdout(&describe(&[
        "--plan-only",
        "--device",
        &format!("{device}=8MiB"),
    ]));
    assert!(
        table.contains('█') && table.contains("of 8.0 MiB"),
        "{table}"
    );
}

#[test]
fn the_answer_is_the_same_with_layers_on_a_worker() {
    let worker = Worker::start("64MiB");
    let here = stdout(&describe(&["--device", "cpu"]));
    let there = describe(&["--device", &worker.name()]);
    assert_eq!(stdout(&there), here);
    let expected = format!("on {}: layers 0–2, output", worker.name());
    assert!(stderr(&there).contains(&expected), "{}", stderr(&there));
}

#[test]
fn devices_that_are_not_there_are_refused_in_one_sentence() {
    assert_refused(
        &describe(&["--device", "cuda7"]),
        &["no device cuda7", "rpc:HOST:PORT"],
    );
    assert_refused(
        &describe(&["--device", "rpc:127.0.0.1:1"]),
        &["127.0.0.1:1", "no connection"],
    );
    let worker = Worker::start("64MiB");
    let device = worker.name();
    let with = |args: &[&str]| describe(&[["--device", device.as_str()].as_slice(), args].concat());
    assert_refused(
        &with(&["--tensor-split", "1,2"]),
        &["2 numbers for 1 devices"],
    );
    assert_refused(&with(&["--tensor-split", "0"]), &["no proportion"]);
    assert_refused(
        &with(&["--vision-device", "cuda0"]),
        &["cuda0", "not among the devices"],
    );
    assert_refused(
        &run(&["worker", "--listen", "0.0.0.0:0"]),
        &["no passwords", "--insecure"],
    );
    assert_refused(&run(&["worker", "--listen", "127.0.0.1"]), &["HOST:PORT"]);
    assert_refused(&run(&["worker", "--device", "cuda7"]), &["no device cuda7"]);
}
