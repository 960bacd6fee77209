//! The archive links, its structs have the layout that the bindings state, and
//! a graph computes the right numbers.

use std::ffi::CStr;
use std::ptr;

use ggml_sys::*;

#[test]
fn version_is_the_one_the_bindings_were_made_from() {
    // SAFETY: returns a static NUL-terminated string.
    let version = unsafe { CStr::from_ptr(ggml_version()) };
    assert!(version.to_str().unwrap().starts_with("0.26."));
}

#[test]
fn cpu_backend_multiplies_matrices() {
    const K: i64 = 3;
    let a: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let b: [f32; 3] = [1.0, 10.0, 100.0];
    let mut product = [0.0f32; 2];

    // SAFETY: every handle is checked or freshly made, freed once, and the
    // tensors' byte counts are those of the arrays copied.
    unsafe {
        let backend = ggml_backend_cpu_init();
        assert!(!backend.is_null());
        let context = ggml_init(ggml_init_params {
            mem_size: 16 * ggml_tensor_overhead() + ggml_graph_overhead(),
            mem_buffer: ptr::null_mut(),
            no_alloc: true,
        });
        let ta = ggml_new_tensor_2d(context, GGML_TYPE_F32, K, 2);
        let tb = ggml_new_tensor_1d(context, GGML_TYPE_F32, K);
        let out = ggml_mul_mat(context, ta, tb);
        let graph = ggml_new_graph(context);
        ggml_build_forward_expand(graph, out);
        let buffer = ggml_backend_alloc_ctx_tensors(context, backend);
        assert!(!buffer.is_null());
        ggml_backend_tensor_set(ta, a.as_ptr().cast(), 0, size_of_val(&a));
        ggml_backend_tensor_set(tb, b.as_ptr().cast(), 0, size_of_val(&b));
        assert_eq!(
            ggml_backend_graph_compute(backend, graph),
            GGML_STATUS_SUCCESS
        );
        ggml_backend_tensor_get(out, product.as_mut_ptr().cast(), 0, size_of_val(&product));
        ggml_backend_buffer_free(buffer);
        ggml_free(context);
        ggml_backend_free(backend);
    }
    assert_eq!(product, [321.0, 654.0]);
}
