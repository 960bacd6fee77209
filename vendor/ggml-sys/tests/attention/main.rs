//! Flash attention of our own against its definition in f64, in every build of the
//! CPU kernels that this machine can run, and against ggml's.

#[path = "../support/mod.rs"]
mod support;

mod compute;
mod definition;
mod problem;

use std::sync::{Mutex, MutexGuard, PoisonError};

use ggml_sys::cpu;
use ggml_sys::kernels::Kernels;
use problem::{Mask, Precision, Problem, Special, USUAL};
use proptest::test_runner::{Config, TestRunner};

/// The choice of kernels is the process's, and tests run side by side.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this build of the CPU kernels has flash attention of our own.
fn has_own() -> bool {
    cpu::select(None).is_ok_and(|name| name.starts_with("avx"))
}

#[test]
fn every_supported_variant_computes_attention() {
    for variant in cpu::variants().iter().filter(|variant| variant.supported) {
        for test in [
            "attention_is_what_its_definition_says",
            "shapes_that_take_each_road_are_right",
            "what_is_unusual_is_left_to_ggml",
        ] {
            println!("{}: {test}", variant.name);
            support::assert_passes(test, variant.name);
        }
    }
}

/// Relative L2 error that rounding may cause.
fn bound(problem: &Problem) -> f64 {
    match problem.precision {
        // ggml's own kernels add values up in f16 and round queries to the type of keys.
        _ if !has_own() => 2e-2,
        Precision::F32 => 2e-6,
        // Of queries, keys, values and probabilities, each to 8 bits.
        Precision::Bf16 => 1e-2,
    }
}

#[track_caller]
fn assert_right(problem: &Problem) {
    let expected = definition::attention(problem);
    for n_threads in [1, 3] {
        let found = compute::attention(problem, n_threads);
        let error = definition::relative_error(&found, &expected);
        assert!(
            error <= bound(problem),
            "{n_threads} threads: {error:.1e} for {problem:?}"
        );
    }
}

/// Runs in whatever build the process has; the test above runs it in each.
#[test]
fn attention_is_what_its_definition_says() {
    let _alone = alone();
    let mut runner = TestRunner::new(Config {
        cases: 32,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&problem::every_kind(), |problem| {
            assert_right(&problem);
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
}

/// The division of work depends on sizes: few queries, tiles of them, one or several
/// blocks of them, keys divided among threads or not.
#[test]
fn shapes_that_take_each_road_are_right() {
    let _alone = alone();
    for (n_tokens, n_keys, mask) in [
        (1, 1, Mask::None),
        (1, 600, Mask::Causal),
        (1, 600, Mask::Hidden),
        (2, 600, Mask::Causal),
        (5, 600, Mask::Any),
        (16, 513, Mask::Causal),
        (70, 70, Mask::Causal),
        (150, 200, Mask::None),
        (150, 200, Mask::Causal),
    ] {
        for precision in [Precision::F32, Precision::Bf16] {
            assert_right(&Problem {
                n_tokens,
                n_keys,
                mask,
                precision,
                ..USUAL
            });
        }
    }
}

#[test]
fn what_is_unusual_is_left_to_ggml() {
    let _alone = alone();
    let with = |special| Problem { special, ..USUAL };
    for problem in [
        with(Special::Alibi),
        with(Special::Softcap),
        with(Special::Sinks),
        with(Special::MixedTypes),
        Problem {
            key_width: 40,
            value_width: 40,
            ..USUAL
        },
    ] {
        Kernels::Own.select();
        let own = compute::attention(&problem, 2);
        Kernels::Ggml.select();
        let theirs = compute::attention(&problem, 2);
        Kernels::Own.select();
        assert_eq!(own, theirs, "{problem:?}");
    }
}

/// The switch reaches attention: ggml's kernel rounds differently.
#[test]
fn the_kernels_that_were_chosen_compute() {
    let _alone = alone();
    if !has_own() {
        return;
    }
    let own = compute::attention(&USUAL, 1);
    Kernels::Ggml.select();
    let theirs = compute::attention(&USUAL, 1);
    Kernels::Own.select();
    assert_ne!(own, theirs);
    let theirs: Vec<f64> = theirs.into_iter().map(f64::from).collect();
    assert!(definition::relative_error(&own, &theirs) < 2e-2);
}
