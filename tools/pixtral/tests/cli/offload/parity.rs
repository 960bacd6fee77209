//! Every placement gives the CPU's numbers.

use super::worker::{
    MODEL, Worker, assert_expected, assert_near, on, prompt, prompt_of_large_pictures, read,
    session, session_of,
};
use pixtral::{
    runtime::{PlacementOptions, placement::GpuLayers},
    session::{Event, GenerateOptions},
};
use std::ops::ControlFlow;

#[test]
fn any_number_of_layers_and_the_tower_on_either_side_give_the_same_logits() {
    let worker = Worker::start("1GiB");
    let n_layers = MODEL.config().text.block_count as usize;
    for n in 0..=n_layers {
        for vision in ["cpu", &worker.name()] {
            let mut session = session(on(&[&worker], n, vision));
            let plan = session.plan().clone();
            assert_eq!(plan.n_offloaded(), n);
            assert_eq!(plan.devices[plan.vision].name, vision);
            let (notes, logits) = read(&mut session);
            assert_eq!(notes, [""; 0]);
            assert_expected(&logits, &format!("{n} layers, tower on {vision}"));
        }
    }
}

/// What a session says while it reads a prompt of several pictures, and the logits after it.
fn read_large_pictures(placement: PlacementOptions) -> (Vec<String>, Vec<f32>) {
    let mut session = session_of(placement, 1000);
    let mut said: Vec<String> = Vec::new();
    let prompt = prompt_of_large_pictures();
    let reading = session.read(&prompt, &mut |event| {
        let what = match event {
            Event::Encoding { image, .. } => format!("picture {image}"),
            Event::Reading { .. } => "reading".to_owned(),
            other => format!("{other:?}"),
        };
        if said.last() != Some(&what) {
            said.push(what);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(reading.unwrap().n_encoded, prompt.images.len());
    (said, session.logits().to_vec())
}

#[test]
fn a_worker_reads_what_is_encoded_while_the_next_picture_is() {
    let worker = Worker::start("1GiB");
    let n_layers = MODEL.config().text.block_count as usize;
    let (said, expected) = read_large_pictures(PlacementOptions::cpu());
    assert_eq!(said, ["picture 0", "picture 1", "picture 2", "reading"]);
    let (said, logits) = read_large_pictures(on(&[&worker], n_layers, "cpu"));
    // Only waiting is told of; whether the others have to be waited for is a matter of speed.
    assert_eq!(said[..2], ["picture 0", "reading"], "{said:?}");
    assert_near(&logits, &expected, "decoder on a worker");
    // Some layers are where the tower is: nothing would be gained, and one thing is done at a time.
    let (said, logits) = read_large_pictures(on(&[&worker], n_layers - 1, "cpu"));
    assert_eq!(said, ["picture 0", "picture 1", "picture 2", "reading"]);
    assert_near(&logits, &expected, "a part of the decoder on a worker");
}

#[test]
fn answers_go_on_from_a_cache_that_is_spread_over_workers() {
    let workers = [Worker::start("1GiB"), Worker::start("1GiB")];
    let spread = PlacementOptions {
        tensor_split: vec![1.0, 2.0],
        gpu_layers: GpuLayers::All,
        ..on(&[&workers[0], &workers[1]], 0, "cpu")
    };
    let options = GenerateOptions {
        max_tokens: Some(12),
        ignore_eos: true,
        ..GenerateOptions::default()
    };
    let answer = |placement: PlacementOptions| {
        let mut session = session(placement);
        let go_on = &mut |_: Event| ControlFlow::Continue(());
        let answer = session.generate(&prompt(), &options, go_on).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        session.save(file.path(), b"").unwrap();
        (answer.ids, session.plan().clone(), file)
    };
    let (expected, ..) = answer(PlacementOptions::cpu());
    let (ids, plan, saved) = answer(spread);
    assert_eq!(ids, expected);
    assert_eq!(plan.layers, [1, 1, 0]);

    // What was saved there goes on here.
    let mut here = session(PlacementOptions::cpu());
    here.restore(saved.path()).unwrap();
    let reading = here
        .read(&prompt(), &mut |_| ControlFlow::Continue(()))
        .unwrap();
    assert_eq!(reading.n_reused, reading.n_tokens - 1);
    assert_expected(here.logits(), "restored on the CPU");
}

#[test]
fn three_workers_hold_a_model_that_none_of_them_could() {
    let memory = 7 << 20;
    let workers: Vec<Worker> = (0..3).map(|_| Worker::start("7MiB")).collect();
    let list: Vec<&Worker> = workers.iter().collect();
    let placement = PlacementOptions {
        gpu_layers: GpuLayers::All,
        ..on(&list, 0, "cpu")
    };
    let mut session = session(placement);
    let plan = session.plan().clone();
    let used: Vec<u64> = plan.devices[..3].iter().map(|d| d.usage.total()).collect();
    assert_eq!(plan.n_offloaded(), plan.layers.len());
    assert!(used.iter().sum::<u64>() > 2 * memory, "{used:?}");
    assert!(
        used.iter().all(|&bytes| 0 < bytes && bytes <= memory),
        "{used:?}"
    );
    assert_expected(&read(&mut session).1, "three workers");
}
