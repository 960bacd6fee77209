//! The kernels of this package compute what ggml's do, in every build that this
//! machine can run, for products of any shape.

mod common;
mod support;

use std::ptr;
use std::sync::Mutex;

use common::{dequantise, naive_product, noise, quantise};
use ggml_sys::kernels::{ENV, Kernels, UnknownKernels};
use ggml_sys::*;
use proptest::prelude::*;
use support::{assert_passes, rerun_with};

#[test]
fn every_supported_variant_computes_what_ggml_does() {
    for variant in cpu::variants().iter().filter(|variant| variant.supported) {
        println!("{}", variant.name);
        assert_passes("products_of_any_shape_equal_ggmls", variant.name);
    }
}

#[test]
fn the_environment_names_the_kernels() {
    let found = Kernels::from_env();
    match std::env::var(ENV).as_deref() {
        Ok("ggml") => assert_eq!(found, Ok(Kernels::Ggml)),
        Ok("abacus") => assert_eq!(found, Err(UnknownKernels("abacus".to_owned()))),
        _ => {
            assert_eq!(found, Ok(Kernels::Own));
            for name in ["ggml", "abacus"] {
                let output = rerun_with("the_environment_names_the_kernels", ENV, name);
                assert!(output.status.success(), "{name}");
            }
        }
    }
}

/// Held while a product is computed: the choice of kernels is the whole process's.
static CHOICE: Mutex<()> = Mutex::new(());

/// A product of weights `[length, rows, matrices]` and activations
/// `[length, columns, matrices · repeats]`.
#[derive(Clone, Debug)]
struct Product {
    ty: ggml_type,
    blocks: usize,
    rows: usize,
    columns: usize,
    matrices: usize,
    repeats: usize,
    layout: Layout,
    threads: i32,
}

/// How the activations lie in memory.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Contiguous,
    /// A gap after each column.
    Padded,
    /// Columns of different matrices are neighbours.
    Interleaved,
}

impl Product {
    fn length(&self) -> usize {
        // SAFETY: the type is one of ggml's.
        self.blocks * unsafe { ggml_blck_size(self.ty) } as usize
    }

    fn any() -> impl Strategy<Value = Self> {
        let types = prop::sample::select(vec![
            GGML_TYPE_Q4_K,
            GGML_TYPE_Q5_K,
            GGML_TYPE_Q6_K,
            GGML_TYPE_Q8_0,
            GGML_TYPE_Q4_0,
        ]);
        let layouts = prop::sample::select(vec![
            Layout::Contiguous,
            Layout::Padded,
            Layout::Interleaved,
        ]);
        let columns = prop_oneof![1..=4usize, 5..=40usize, 190..=200usize];
        let sizes = (1..=4usize, 1..=150usize, columns);
        (types, sizes, 1..=2usize, 1..=2usize, layouts, 1..=4i32).prop_map(
            |(ty, (blocks, rows, columns), matrices, repeats, layout, threads)| Self {
                ty,
                blocks,
                rows,
                columns,
                matrices,
                repeats,
                layout,
                threads,
            },
        )
    }

    /// The product as the kernels in use compute it, columns after columns.
    fn compute(&self, kernels: Kernels, weights: &[u8], activations: &[f32]) -> Vec<f32> {
        let _choice = CHOICE
            .lock()
            .expect("nothing panics while it holds the lock");
        kernels.select();
        let [k, m, n] = [self.length(), self.rows, self.columns].map(|x| x as i64);
        let (w, x) = (self.matrices as i64, (self.matrices * self.repeats) as i64);
        // SAFETY: every handle is freshly made and freed once; the byte counts
        // are those of the slices copied, the views lie within their tensors.
        unsafe {
            let backend = ggml_backend_cpu_init();
            ggml_backend_cpu_set_n_threads(backend, self.threads);
            let context = ggml_init(ggml_init_params {
                mem_size: 16 * ggml_tensor_overhead() + ggml_graph_overhead(),
                mem_buffer: ptr::null_mut(),
                no_alloc: true,
            });
            let weight_tensor = ggml_new_tensor_3d(context, self.ty, k, m, w);
            let f32s = |dims: [i64; 3]| {
                ggml_new_tensor_3d(context, GGML_TYPE_F32, dims[0], dims[1], dims[2])
            };
            let whole = f32s([k, n, x]);
            let copy = match self.layout {
                Layout::Contiguous => whole,
                Layout::Padded => {
                    let wide = f32s([k + 12, n, x]);
                    let strides = [(*wide).nb[1], (*wide).nb[2]];
                    ggml_view_3d(context, wide, k, n, x, strides[0], strides[1], 0)
                }
                Layout::Interleaved => ggml_permute(context, f32s([k, x, n]), 0, 2, 1, 3),
            };
            let graph = ggml_new_graph(context);
            let operand = match self.layout {
                Layout::Contiguous => whole,
                _ => ggml_cpy(context, whole, copy),
            };
            let result = ggml_mul_mat(context, weight_tensor, operand);
            ggml_build_forward_expand(graph, result);
            let buffer = ggml_backend_alloc_ctx_tensors(context, backend);
            assert!(!buffer.is_null());
            ggml_backend_tensor_set(weight_tensor, weights.as_ptr().cast(), 0, weights.len());
            let bytes = size_of_val(activations);
            ggml_backend_tensor_set(whole, activations.as_ptr().cast(), 0, bytes);
            let status = ggml_backend_graph_compute(backend, graph);
            assert_eq!(status, GGML_STATUS_SUCCESS);
            let mut out = vec![0.0f32; (m * n * x) as usize];
            let bytes = size_of_val(out.as_slice());
            ggml_backend_tensor_get(result, out.as_mut_ptr().cast(), 0, bytes);
            ggml_backend_buffer_free(buffer);
            ggml_free(context);
            ggml_backend_free(backend);
            out
        }
    }

    /// The product of the decoded weights, with the sums of absolute products.
    fn exact(&self, weights: &[u8], activations: &[f32]) -> Vec<(f64, f64)> {
        let k = self.length();
        let matrix = self.rows * k;
        let decoded = dequantise(self.ty, weights, matrix * self.matrices);
        let activations = activations.chunks_exact(self.columns * k);
        let products = activations.enumerate().map(|(i, activations)| {
            let weights = &decoded[i / self.repeats * matrix..][..matrix];
            naive_product(weights, activations, k)
        });
        products.flatten().collect()
    }
}

/// Runs in whatever build the process has; the first test runs it in each.
#[test]
fn products_of_any_shape_equal_ggmls() {
    proptest!(ProptestConfig::with_cases(150), |(product in Product::any())| {
        let k = product.length();
        let values = noise(k * product.rows * product.matrices);
        let weights = quantise(product.ty, &values, k);
        let columns = product.columns * product.matrices * product.repeats;
        let activations = noise(k * columns + 1)[1..].to_vec();
        let exact = product.exact(&weights, &activations);
        let own = product.compute(Kernels::Own, &weights, &activations);
        let theirs = product.compute(Kernels::Ggml, &weights, &activations);
        prop_assert_eq!(own.len(), exact.len());
        for (i, (value, scale)) in exact.into_iter().enumerate() {
            let error = |found: f32| (f64::from(found) - value).abs() / scale;
            let (mine, reference) = (error(own[i]), error(theirs[i]));
            // Both round activations to 8 bits. ggml also rounds the scales of
            // blocks of 32 to half precision.
            prop_assert!(
                mine <= reference + 5e-4,
                "element {i}: {} by our kernels, {} by ggml's, {value} exactly", own[i], theirs[i]
            );
        }
    });
}

/// Answers that are computed together are each what they would be alone.
#[test]
fn a_column_of_few_does_not_depend_on_the_others() {
    let variant = cpu::select(None).expect("a variant for this machine");
    if !variant.starts_with("avx512") {
        println!("{variant} has no kernel for few columns");
        return;
    }
    for ty in [
        GGML_TYPE_Q4_K,
        GGML_TYPE_Q5_K,
        GGML_TYPE_Q6_K,
        GGML_TYPE_Q8_0,
    ] {
        let mut product = Product {
            ty,
            blocks: 3,
            rows: 130,
            columns: 3,
            matrices: 1,
            repeats: 1,
            layout: Layout::Contiguous,
            threads: 2,
        };
        let k = product.length();
        let weights = quantise(ty, &noise(k * product.rows), k);
        let activations = noise(3 * k + 1)[1..].to_vec();
        let together = product.compute(Kernels::Own, &weights, &activations);
        product.columns = 1;
        for (column, found) in activations.chunks_exact(k).zip(together.chunks_exact(130)) {
            assert_eq!(
                product.compute(Kernels::Own, &weights, column),
                found,
                "{ty}"
            );
        }
    }
}
