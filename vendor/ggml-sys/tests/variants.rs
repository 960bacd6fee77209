//! Every build of the CPU kernels that this machine can run computes the same
//! products, and the choice among them does what it is told or says why not.
//! A process can use only one build, so the tests start this program again with
//! the override set and look at the outcome.

mod common;
mod support;

use std::env;
use std::ptr;

use common::{dequantise, naive_product, noise, quantise};

use ggml_sys::cpu::{self, SelectError};
use ggml_sys::*;
use support::{assert_passes, rerun};

#[test]
fn every_supported_variant_multiplies_exactly() {
    for variant in cpu::variants().iter().filter(|variant| variant.supported) {
        println!("{}", variant.name);
        assert_passes("products_equal_those_of_dequantised_weights", variant.name);
        assert_passes("the_override_decides", variant.name);
    }
}

#[test]
fn the_override_decides() {
    let wanted = env::var(cpu::ENV).ok();
    let chosen = cpu::select(None).expect("the override names a variant for this machine");
    let best = cpu::variants()
        .into_iter()
        .find(|variant| variant.supported)
        .map(|variant| variant.name);
    assert_eq!(Some(chosen), wanted.as_deref().or(best));
    assert_eq!(cpu::in_use(), Some(chosen));
    assert_eq!(
        cpu::select(Some(chosen)),
        Ok(chosen),
        "choosing the same again is no change"
    );
    for other in cpu::variants()
        .iter()
        .filter(|other| other.supported && other.name != chosen)
    {
        let refusal = SelectError::InUse {
            wanted: other.name.to_owned(),
            current: chosen,
        };
        assert_eq!(cpu::select(Some(other.name)), Err(refusal));
    }
}

#[test]
fn a_variant_that_the_processor_lacks_is_refused() {
    for variant in cpu::variants().iter().filter(|variant| !variant.supported) {
        let refusal = SelectError::Unsupported(variant.name.to_owned());
        assert_eq!(cpu::select(Some(variant.name)), Err(refusal));
        let output = rerun("products_equal_those_of_dequantised_weights", variant.name);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(
            stderr.contains("asks for instructions that this processor lacks"),
            "{stderr}"
        );
    }
}

#[test]
fn an_unknown_variant_is_refused_with_the_names_of_the_known() {
    let refusal = cpu::select(Some("abacus")).expect_err("there is no such variant");
    assert_eq!(refusal, SelectError::Unknown("abacus".to_owned()));
    for variant in cpu::variants() {
        assert!(refusal.to_string().contains(variant.name), "{refusal}");
    }
}

#[test]
fn a_call_into_ggml_under_an_unknown_override_ends_with_a_sentence() {
    if cpu::variants().len() == 1 {
        return; // one build: ggml's functions are linked directly and ask nothing
    }
    let output = rerun("products_equal_those_of_dequantised_weights", "abacus");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        stderr.contains("PIXTRAL_CPU=abacus names no build"),
        "{stderr}"
    );
}

/// Runs in whatever build the process has; the test above runs it in each.
#[test]
fn products_equal_those_of_dequantised_weights() {
    // K is two super-blocks; the columns reach the vector kernel, the blocked
    // ones and their remainders.
    const K: usize = 512;
    const ROWS: usize = 48;
    let types = [
        (GGML_TYPE_F32, 1e-6),
        // Sums are kept in f16 where the processor computes in it.
        (GGML_TYPE_F16, 1e-3),
        (GGML_TYPE_BF16, 1e-6),
        (GGML_TYPE_Q4_0, 1e-6),
        (GGML_TYPE_Q8_0, 1e-6),
        (GGML_TYPE_Q4_K, 1e-6),
        (GGML_TYPE_Q5_K, 1e-6),
        (GGML_TYPE_Q6_K, 1e-6),
    ];
    for (ty, tolerance) in types {
        for columns in [1, 5, 37, 64] {
            let weights = quantise(ty, &noise(K * ROWS), K);
            let activations = whole_numbers(K * columns);
            let expected = naive_product(&dequantise(ty, &weights, K * ROWS), &activations, K);
            for buffer_type in buffer_types() {
                let got = product(ty, &weights, &activations, K, buffer_type);
                let Some(got) = got else { continue };
                for (i, (got, (value, scale))) in got.iter().zip(&expected).enumerate() {
                    let error = (f64::from(*got) - value).abs() / scale;
                    assert!(
                        error <= tolerance,
                        "type {ty}, {columns} columns, element {i}: {got}, not {value}"
                    );
                }
            }
        }
    }
}

/// Activations that ggml's conversion to 8-bit blocks keeps exactly: whole
/// numbers, with a largest one of 127 in each block of 32. So the products
/// differ from the naive ones by rounding of sums alone.
fn whole_numbers(n: usize) -> Vec<f32> {
    let value = |(i, x): (usize, f32)| {
        if i % 32 == 7 {
            -127.0
        } else {
            (x * 126.0).round()
        }
    };
    noise(n).into_iter().enumerate().map(value).collect()
}

/// The CPU's plain memory, and the kinds that rearrange weights for kernels of
/// their own.
fn buffer_types() -> Vec<ggml_backend_buffer_type_t> {
    // SAFETY: the registry and its device live as long as the process; the
    // function's type is the one documented for its name, and the list it
    // returns ends with a null.
    unsafe {
        let registry = ggml_backend_cpu_reg();
        let device = ggml_backend_reg_dev_get(registry, 0);
        let mut types = vec![ggml_backend_cpu_buffer_type()];
        let name = c"ggml_backend_dev_get_extra_bufts";
        let address = ggml_backend_reg_get_proc_address(registry, name.as_ptr());
        let function: ggml_backend_dev_get_extra_bufts_t = std::mem::transmute(address);
        let mut extra = function.expect("the CPU backend lists its extra buffer types")(device);
        while !(*extra).is_null() {
            types.push(*extra);
            extra = extra.add(1);
        }
        types
    }
}

/// The product as ggml computes it with two threads, or `None` if weights of
/// this type cannot be multiplied from this kind of buffer.
fn product(
    ty: ggml_type,
    weights: &[u8],
    activations: &[f32],
    k: usize,
    weight_buffer_type: ggml_backend_buffer_type_t,
) -> Option<Vec<f32>> {
    // SAFETY: every handle is checked or freshly made and freed once; the byte
    // counts are those of the slices copied.
    unsafe {
        let backend = ggml_backend_cpu_init();
        assert!(!backend.is_null());
        ggml_backend_cpu_set_n_threads(backend, 2);
        let new_context = || {
            let mem_size = 8 * ggml_tensor_overhead() + ggml_graph_overhead();
            ggml_init(ggml_init_params {
                mem_size,
                mem_buffer: ptr::null_mut(),
                no_alloc: true,
            })
        };
        let (weight_context, context) = (new_context(), new_context());
        let rows = weights.len() / ggml_row_size(ty, k as i64);
        let columns = activations.len() / k;
        let w = ggml_new_tensor_2d(weight_context, ty, k as i64, rows as i64);
        let x = ggml_new_tensor_2d(context, GGML_TYPE_F32, k as i64, columns as i64);
        let y = ggml_mul_mat(context, w, x);
        let weight_buffer =
            ggml_backend_alloc_ctx_tensors_from_buft(weight_context, weight_buffer_type);
        assert!(!weight_buffer.is_null());
        let result = ggml_backend_supports_op(backend, y).then(|| {
            let graph = ggml_new_graph(context);
            ggml_build_forward_expand(graph, y);
            let buffer = ggml_backend_alloc_ctx_tensors(context, backend);
            ggml_backend_tensor_set(w, weights.as_ptr().cast(), 0, weights.len());
            ggml_backend_tensor_set(x, activations.as_ptr().cast(), 0, size_of_val(activations));
            assert_eq!(
                ggml_backend_graph_compute(backend, graph),
                GGML_STATUS_SUCCESS
            );
            let mut out = vec![0.0f32; rows * columns];
            ggml_backend_tensor_get(y, out.as_mut_ptr().cast(), 0, size_of_val(out.as_slice()));
            ggml_backend_buffer_free(buffer);
            out
        });
        ggml_backend_buffer_free(weight_buffer);
        ggml_free(context);
        ggml_free(weight_context);
        ggml_backend_free(backend);
        result
    }
}
