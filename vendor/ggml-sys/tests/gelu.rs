//! The exact GELU of our own against ggml's, in every build of the CPU kernels that this machine can
//! run.

mod support;

use std::ptr;

use ggml_sys::kernels::Kernels;
use ggml_sys::*;
use support::assert_passes;

/// The GELU of `values` by `n_threads` threads.
fn gelu(kernels: Kernels, values: &[f32], n_threads: i32) -> Vec<f32> {
    kernels.select();
    // SAFETY: every handle is freshly made, checked where it can be null, and freed once; byte counts
    // are those of the slices.
    unsafe {
        let backend = ggml_backend_cpu_init();
        assert!(!backend.is_null());
        ggml_backend_cpu_set_n_threads(backend, n_threads);
        let context = ggml_init(ggml_init_params {
            mem_size: 8 * ggml_tensor_overhead() + ggml_graph_overhead(),
            mem_buffer: ptr::null_mut(),
            no_alloc: true,
        });
        let x = ggml_new_tensor_1d(context, GGML_TYPE_F32, values.len() as i64);
        let result = ggml_gelu_erf(context, x);
        let graph = ggml_new_graph(context);
        ggml_build_forward_expand(graph, result);
        let buffer = ggml_backend_alloc_ctx_tensors(context, backend);
        assert!(!buffer.is_null());
        let bytes = size_of_val(values);
        ggml_backend_tensor_set(x, values.as_ptr().cast(), 0, bytes);
        let status = ggml_backend_graph_compute(backend, graph);
        assert_eq!(status, GGML_STATUS_SUCCESS);
        let mut out = vec![0.0f32; values.len()];
        ggml_backend_tensor_get(result, out.as_mut_ptr().cast(), 0, bytes);
        ggml_backend_buffer_free(buffer);
        ggml_free(context);
        ggml_backend_free(backend);
        out
    }
}

#[test]
fn every_supported_variant_computes_the_gelu() {
    for variant in cpu::variants().iter().filter(|variant| variant.supported) {
        println!("{}", variant.name);
        assert_passes("the_gelu_equals_ggmls", variant.name);
    }
}

/// Runs in whatever build the process has; the test above runs it in each. One test, since the choice
/// of kernels is the process's.
#[test]
fn the_gelu_equals_ggmls() {
    // From −20 to 20, a length that is no multiple of any vector's.
    let values: Vec<f32> = (0..4001).map(|i| (i - 2000) as f32 / 100.0).collect();
    let expected = gelu(Kernels::Ggml, &values, 1);
    for n_threads in [1, 3] {
        let found = gelu(Kernels::Own, &values, n_threads);
        for ((x, found), expected) in values.iter().zip(found).zip(&expected) {
            let error = (found - expected).abs();
            assert!(error <= 4e-7 * x.abs(), "{x}: {found}, ggml {expected}");
        }
    }
    let found = gelu(Kernels::Own, &[f32::INFINITY, f32::NAN, 0.0], 1);
    assert_eq!(found[0], f32::INFINITY);
    assert!(found[1].is_nan() && found[2] == 0.0, "{found:?}");
}
