//! The wrapper's promises, and the operations against their definitions in f64.

use super::*;
use crate::ErrorKind;
use std::ops::ControlFlow;

fn scheduler() -> Scheduler {
    let backend = Backend::cpu(2, CancelFlag::default()).unwrap();
    Scheduler::new(backend, 64).unwrap()
}

/// Numbers without a pattern, in -1..1.
fn noise(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Builds a graph from f32 inputs of the given dimensions, runs it, returns its result.
fn run(
    inputs: &[(&[usize], &[f32])],
    build: impl FnOnce(&Context, &[Tensor]) -> Tensor,
) -> Vec<f32> {
    let mut graph = Graph::new(64).unwrap();
    let tensors: Vec<Tensor> = inputs
        .iter()
        .map(|(dims, _)| graph.context().input("input", Type::F32, dims))
        .collect();
    let result = build(graph.context(), &tensors);
    graph.context().output(&result);
    graph.expand(&result);
    let mut scheduler = scheduler();
    scheduler.place(&graph).unwrap();
    for (tensor, (_, data)) in tensors.iter().zip(inputs) {
        scheduler.write(&graph, tensor, data).unwrap();
    }
    scheduler.run(&graph, None).unwrap();
    let mut out = vec![0.0; result.n_elements()];
    scheduler.read(&graph, &result, 0, &mut out).unwrap();
    out
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let error: f64 = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (f64::from(*a) - b).powi(2))
        .sum();
    let norm: f64 = expected.iter().map(|b| b * b).sum();
    assert!(
        (error / norm).sqrt() < 1e-6,
        "relative error {}",
        (error / norm).sqrt()
    );
}

#[test]
fn rope_turns_only_its_pairs_by_position_over_period() {
    let (head_dim, n_head, positions) = (8usize, 3usize, [0, 5, 63, 1000]);
    let x = noise(head_dim * n_head * positions.len(), 1);
    let periods = [1.0f32, 8.0, 1.0, 1.0];
    for offset in [0, 4] {
        let mut graph = Graph::new(64).unwrap();
        let ctx = graph.context();
        let input = ctx.input("x", Type::F32, &[head_dim, n_head, positions.len()]);
        let at = ctx.input("positions", Type::I32, &[positions.len()]);
        let by = ctx.input("periods", Type::F32, &[head_dim / 2]);
        let turned = ctx.rope(&input, &at, &by, Rope { n_dims: 4, offset });
        ctx.output(&turned);
        graph.expand(&turned);
        let mut s = scheduler();
        s.place(&graph).unwrap();
        s.write(&graph, &input, &x).unwrap();
        s.write(&graph, &at, &positions).unwrap();
        s.write(&graph, &by, &periods).unwrap();
        s.run(&graph, None).unwrap();
        let mut found = vec![0.0; x.len()];
        s.read(&graph, &turned, 0, &mut found).unwrap();

        let mut expected: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        for (token, &position) in positions.iter().enumerate() {
            for head in 0..n_head {
                for (pair, period) in periods.iter().take(2).enumerate() {
                    let i = (token * n_head + head) * head_dim + offset + 2 * pair;
                    let angle = f64::from(position) / f64::from(*period);
                    let (a, b) = (expected[i], expected[i + 1]);
                    expected[i] = a * angle.cos() - b * angle.sin();
                    expected[i + 1] = a * angle.sin() + b * angle.cos();
                }
            }
        }
        assert_close(&found, &expected);
    }
}

#[test]
fn flash_attention_is_softmax_attention_at_every_size() {
    let (head_dim, n_head, n_head_kv) = (64, 4, 2);
    // One row, an odd number, more than a tile of the kernel.
    for (n, n_kv) in [(1, 5), (7, 7), (70, 70), (1, 700)] {
        let q = noise(head_dim * n * n_head, 2);
        let k = noise(head_dim * n_kv * n_head_kv, 3);
        let v = noise(head_dim * n_kv * n_head_kv, 4);
        let found = run(
            &[
                (&[head_dim, n, n_head], &q),
                (&[head_dim, n_kv, n_head_kv], &k),
                (&[head_dim, n_kv, n_head_kv], &v),
            ],
            |ctx, t| ctx.flash_attention(&t[0], &t[1], &t[2], None, 0.125, Precision::F32),
        );
        let row = |data: &[f32], rows: usize, head: usize, i: usize| -> Vec<f64> {
            let start = (head * rows + i) * head_dim;
            data[start..start + head_dim]
                .iter()
                .map(|&x| f64::from(x))
                .collect()
        };
        let mut expected = Vec::new();
        for i in 0..n {
            for head in 0..n_head {
                let kv_head = head / (n_head / n_head_kv);
                let qi = row(&q, n, head, i);
                let weights: Vec<f64> = (0..n_kv)
                    .map(|j| {
                        let kj = row(&k, n_kv, kv_head, j);
                        let dot: f64 = qi.iter().zip(&kj).map(|(a, b)| a * b).sum();
                        (dot * 0.125).exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                for d in 0..head_dim {
                    let sum: f64 = (0..n_kv)
                        .map(|j| weights[j] * row(&v, n_kv, kv_head, j)[d])
                        .sum();
                    expected.push(sum / total);
                }
            }
        }
        assert_close(&found, &expected);
    }
}

#[test]
fn gelu_is_the_exact_one() {
    // Φ(1) = 0.841344746…, Φ(-2) = 0.022750131…; the tanh form differs in the fourth digit.
    let found = run(&[(&[4], &[0.0, 1.0, -2.0, 3.0])], |ctx, t| {
        ctx.gelu_erf(&t[0])
    });
    assert_close(
        &found,
        &[0.0, 0.841_344_746, -0.045_500_263_9, 2.995_950_305_9],
    );
}

fn two_steps() -> (Graph, Tensor, Tensor) {
    let mut graph = Graph::new(64).unwrap();
    let ctx = graph.context();
    let input = ctx.input("x", Type::F32, &[4]);
    let first = ctx.add(&input, &input);
    ctx.name(&first, "step.0");
    let second = ctx.add(&first, &first);
    ctx.name(&second, "step.1");
    ctx.output(&second);
    graph.expand(&second);
    (graph, input, second)
}

#[test]
fn observers_see_named_results_in_order_and_can_stop_the_run() {
    let (graph, input, result) = two_steps();
    let mut s = scheduler();
    s.place(&graph).unwrap();
    s.write(&graph, &input, &[1.0f32, 2.0, 3.0, 4.0]).unwrap();
    let mut names = Vec::new();
    let mut seen = |name: &str| {
        names.push(name.to_owned());
        ControlFlow::Continue(())
    };
    s.run(
        &graph,
        Some(Observer {
            prefix: "step.",
            seen: &mut seen,
        }),
    )
    .unwrap();
    assert_eq!(names, ["step.0", "step.1"]);
    let mut out = [0.0f32; 4];
    s.read(&graph, &result, 0, &mut out).unwrap();
    assert_eq!(out, [4.0, 8.0, 12.0, 16.0]);

    let mut stop = |_: &str| ControlFlow::Break(());
    let stopped = s.run(
        &graph,
        Some(Observer {
            prefix: "step.",
            seen: &mut stop,
        }),
    );
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn a_panic_in_an_observer_becomes_a_cancelled_run() {
    let (graph, ..) = two_steps();
    let mut s = scheduler();
    s.place(&graph).unwrap();
    let mut seen = |_: &str| -> ControlFlow<()> { panic!("on purpose") };
    let result = s.run(
        &graph,
        Some(Observer {
            prefix: "step.",
            seen: &mut seen,
        }),
    );
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn a_set_cancel_flag_stops_the_run_and_a_reset_one_does_not() {
    let (graph, ..) = two_steps();
    let mut s = scheduler();
    s.place(&graph).unwrap();
    let flag = s.cpu().cancel_flag().clone();
    flag.cancel();
    assert_eq!(
        s.run(&graph, None).unwrap_err().kind(),
        ErrorKind::Cancelled
    );
    flag.reset();
    s.run(&graph, None).unwrap();
}

#[test]
fn tensors_of_a_graph_that_is_not_placed_are_refused() {
    let (first, _, first_result) = two_steps();
    let (second, ..) = two_steps();
    let mut s = scheduler();
    assert!(s.run(&first, None).is_err());
    s.place(&first).unwrap();
    s.place(&second).unwrap();
    let mut out = [0.0f32; 4];
    assert!(s.read(&first, &first_result, 0, &mut out).is_err());
    assert!(s.read(&second, &first_result, 0, &mut out).is_err());
    assert!(s.run(&first, None).is_err());
}

#[test]
fn graphs_in_different_places_keep_their_results() {
    let graphs = [two_steps(), two_steps()];
    let mut s = scheduler();
    for (at, (graph, input, _)) in graphs.iter().enumerate() {
        s.place_at(at, graph).unwrap();
        s.write(graph, input, &[at as f32 + 1.0; 4]).unwrap();
        s.run(graph, None).unwrap();
    }
    let working_bytes = s.working_bytes();
    for (at, (graph, _, result)) in graphs.iter().enumerate() {
        let mut out = [0.0f32; 4];
        s.read(graph, result, 0, &mut out).unwrap();
        assert_eq!(out, [4.0 * (at as f32 + 1.0); 4]);
    }
    let (third, ..) = two_steps();
    s.place_at(1, &third).unwrap();
    assert_eq!(s.working_bytes(), working_bytes);
    s.run(&graphs[0].0, None).unwrap();
    assert!(s.run(&graphs[1].0, None).is_err());
}

#[test]
fn wrong_types_lengths_and_borrowed_memory_are_refused() {
    let (graph, input, result) = two_steps();
    let mut s = scheduler();
    s.place(&graph).unwrap();
    assert!(s.write(&graph, &input, &[1i32; 4]).is_err());
    assert!(s.write(&graph, &input, &[1.0f32; 3]).is_err());
    assert!(s.read(&graph, &result, 2, &mut [0.0f32; 3]).is_err());

    // 64 bytes aligned like a mapped file's tensors.
    #[repr(align(64))]
    struct Weights([u8; 64]);
    let owner = std::sync::Arc::new(Weights([0; 64]));
    let context = Context::new(1, 0).unwrap();
    let mut tensor = context.tensor(Type::F32, &[16]);
    let buffer = Buffer::from_host(owner, |w| &w.0).unwrap();
    assert!(buffer.place(&context, &tensor, 4).is_err());
    buffer.place(&context, &tensor, 0).unwrap();
    assert!(tensor.write(&[1.0f32; 16]).is_err());
    assert!(tensor.clear(0, 64).is_err());
    assert!(tensor.write_bytes(0, &[0; 64]).is_err());
}

#[test]
fn stored_bytes_come_back_as_they_were_and_stay_inside_the_tensor() {
    let backend = Backend::cpu(1, CancelFlag::default()).unwrap();
    let context = Context::new(1, 0).unwrap();
    // Two rows of one block of 34 bytes each.
    let mut tensor = context.tensor(Type::Q8_0, &[32, 2]);
    Buffer::allocate(&context, &backend).unwrap();
    let bytes: Vec<u8> = (0..68).collect();
    tensor.write_bytes(0, &bytes[..34]).unwrap();
    tensor.write_bytes(34, &bytes[34..]).unwrap();
    let mut found = [0; 50];
    tensor.read_bytes(10, &mut found).unwrap();
    assert_eq!(found, bytes[10..60]);
    assert!(tensor.read_bytes(19, &mut found).is_err());
    assert!(tensor.write_bytes(1, &bytes).is_err());
    assert!(tensor.write_bytes(usize::MAX, &bytes).is_err());
}

#[test]
fn tensors_keep_what_they_live_in_alive() {
    let backend = Backend::cpu(1, CancelFlag::default()).unwrap();
    let context = Context::new(1, 0).unwrap();
    let mut weight = context.tensor(Type::F32, &[4]);
    Buffer::allocate(&context, &backend).unwrap();
    drop((context, backend));
    weight.write(&[1.0f32, 2.0, 3.0, 4.0]).unwrap();
    let mut graph = Graph::new(64).unwrap();
    let sum = graph.context().add(&weight, &weight);
    drop(weight);
    graph.context().output(&sum);
    graph.expand(&sum);
    let mut s = scheduler();
    s.place(&graph).unwrap();
    s.run(&graph, None).unwrap();
    let mut out = [0.0f32; 4];
    s.read(&graph, &sum, 0, &mut out).unwrap();
    assert_eq!(out, [2.0, 4.0, 6.0, 8.0]);
}

#[test]
fn a_senseless_number_of_threads_is_refused() {
    for n in [0, 100_000] {
        let error = Backend::cpu(n, CancelFlag::default()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}

#[test]
fn an_input_can_be_filled_piece_by_piece_and_not_beyond_its_end() {
    let (graph, input, _) = two_steps();
    let mut scheduler = scheduler();
    scheduler.place(&graph).unwrap();
    let n = input.n_elements();
    for i in 0..n {
        scheduler.write_at(&graph, &input, i, &[i as f32]).unwrap();
    }
    let mut found = vec![0.0; n];
    scheduler.read(&graph, &input, 0, &mut found).unwrap();
    let expected: Vec<f32> = (0..n).map(|i| i as f32).collect();
    assert_eq!(found, expected);
    let beyond = scheduler.write_at(&graph, &input, n, &[1.0f32]);
    assert_eq!(beyond.unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn results_go_to_room_of_the_right_size_only() {
    let (graph, input, result) = two_steps();
    let mut scheduler = scheduler();
    scheduler.place(&graph).unwrap();
    let n = input.n_elements();
    scheduler.write(&graph, &input, &vec![2.0f32; n]).unwrap();
    let read = |scheduler: &mut Scheduler, room: usize| {
        scheduler.run_and_read(&graph, None, &result, || vec![0.0f32; room])
    };
    let queued = read(&mut scheduler, n).unwrap();
    let mut after = vec![0.0; n];
    scheduler.read(&graph, &result, 0, &mut after).unwrap();
    assert_eq!(queued, after);
    assert_ne!(queued, vec![0.0; n]);
    let e = read(&mut scheduler, n - 1).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Internal);
}
