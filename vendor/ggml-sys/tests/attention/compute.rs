//! Attention by ggml's CPU backend, on tensors laid out as in a model's graphs:
//! queries a permuted view, keys and values windows of a larger cache.

use std::ffi::c_void;
use std::ptr;

use ggml_sys::*;

use crate::problem::{Precision, Problem, Special, Storage};

/// Cells of the cache that attention does not look at.
const UNUSED: usize = 3;

/// `[sequence][token][head][value_width]`
pub fn attention(problem: &Problem, n_threads: i32) -> Vec<f32> {
    // SAFETY: every handle is freshly made, checked where it can be null, and freed
    // once; views lie inside their tensors; byte counts are those of the slices.
    unsafe {
        let backend = ggml_backend_cpu_init();
        assert!(!backend.is_null());
        ggml_backend_cpu_set_n_threads(backend, n_threads);
        let context = ggml_init(ggml_init_params {
            mem_size: 32 * ggml_tensor_overhead() + ggml_graph_overhead(),
            mem_buffer: ptr::null_mut(),
            no_alloc: true,
        });
        let inputs = Inputs::new(context, problem);
        let result = inputs.attend(context, problem);
        let graph = ggml_new_graph(context);
        ggml_build_forward_expand(graph, result);
        let buffer = ggml_backend_alloc_ctx_tensors(context, backend);
        assert!(!buffer.is_null());
        inputs.write(problem);
        assert_eq!(
            ggml_backend_graph_compute(backend, graph),
            GGML_STATUS_SUCCESS
        );
        let mut out = vec![0.0f32; ggml_nelements(result) as usize];
        let bytes = size_of_val(out.as_slice());
        ggml_backend_tensor_get(result, out.as_mut_ptr().cast(), 0, bytes);
        ggml_backend_buffer_free(buffer);
        ggml_free(context);
        ggml_backend_free(backend);
        out
    }
}

/// The values that remain of `values` after they were stored.
pub fn stored(storage: Storage, values: &[f32]) -> Vec<f32> {
    let ty = storage.ty();
    let bytes = encode(ty, values);
    let mut out = values.to_vec();
    // SAFETY: the traits are static; the bytes hold as many values as `out` has room
    // for. f32 has no decoder and needs none.
    unsafe {
        if let Some(decode) = (*ggml_get_type_traits(ty)).to_float {
            decode(bytes.as_ptr().cast(), out.as_mut_ptr(), out.len() as i64);
        }
    }
    out
}

/// `values` as elements of a type, as one row.
fn encode(ty: ggml_type, values: &[f32]) -> Vec<u8> {
    let n = values.len() as i64;
    // SAFETY: the output has room for the row, whose length is a multiple of the block
    // size.
    unsafe {
        let mut out = vec![0u8; ggml_row_size(ty, n)];
        let to = out.as_mut_ptr().cast::<c_void>();
        ggml_quantize_chunk(ty, values.as_ptr(), to, 0, 1, n, ptr::null());
        out
    }
}

struct Inputs {
    queries: *mut ggml_tensor,
    keys: *mut ggml_tensor,
    values: *mut ggml_tensor,
    mask: *mut ggml_tensor,
    sinks: *mut ggml_tensor,
}

impl Inputs {
    /// # Safety
    /// The context must have room for five tensors.
    unsafe fn new(context: *mut ggml_context, p: &Problem) -> Self {
        let n = |n: usize| n as i64;
        let cells = n(p.n_keys + UNUSED);
        let key_type = match p.special {
            Special::MixedTypes => GGML_TYPE_F32,
            _ => p.storage.ty(),
        };
        // SAFETY: the caller's.
        unsafe {
            let new =
                |ty, ne: [i64; 4]| ggml_new_tensor_4d(context, ty, ne[0], ne[1], ne[2], ne[3]);
            let sequences = n(p.n_sequences);
            let queries = [n(p.key_width), n(p.n_heads()), n(p.n_tokens), sequences];
            let keys = [n(p.key_width * p.n_key_heads), cells, sequences, 1];
            let values = [n(p.value_width * p.n_key_heads), cells, sequences, 1];
            let mask = [n(p.n_keys), n(p.n_tokens), 1, sequences];
            Self {
                queries: new(GGML_TYPE_F32, queries),
                keys: new(key_type, keys),
                values: new(p.storage.ty(), values),
                mask: match p.mask() {
                    Some(_) => new(GGML_TYPE_F16, mask),
                    None => ptr::null_mut(),
                },
                sinks: match p.special {
                    Special::Sinks => new(GGML_TYPE_F32, [n(p.n_heads()), 1, 1, 1]),
                    _ => ptr::null_mut(),
                },
            }
        }
    }

    /// # Safety
    /// The inputs must be of this context, which must have room for five tensors more.
    unsafe fn attend(&self, context: *mut ggml_context, p: &Problem) -> *mut ggml_tensor {
        let (max_bias, softcap) = match p.special {
            Special::Alibi => (8.0, 0.0),
            Special::Softcap => (0.0, 5.0),
            _ => (0.0, 0.0),
        };
        // SAFETY: the caller's; the windows are smaller than the caches.
        unsafe {
            let window = |cache: *mut ggml_tensor, width: usize| {
                let head_bytes = ggml_row_size((*cache).type_, width as i64);
                let (cell_bytes, sequence_bytes) = ((*cache).nb[1], (*cache).nb[2]);
                let (n_keys, heads) = (p.n_keys as i64, p.n_key_heads as i64);
                let sequences = p.n_sequences as i64;
                let width = width as i64;
                ggml_view_4d(
                    context,
                    cache,
                    width,
                    n_keys,
                    heads,
                    sequences,
                    cell_bytes,
                    head_bytes,
                    sequence_bytes,
                    0,
                )
            };
            let result = ggml_flash_attn_ext(
                context,
                ggml_permute(context, self.queries, 0, 2, 1, 3),
                window(self.keys, p.key_width),
                window(self.values, p.value_width),
                self.mask,
                p.scale(),
                max_bias,
                softcap,
            );
            if matches!(p.precision, Precision::F32) {
                ggml_prec_set_acc(result, GGML_PREC_F32);
            }
            ggml_flash_attn_ext_add_sinks(result, self.sinks);
            result
        }
    }

    /// # Safety
    /// The tensors must have memory.
    unsafe fn write(&self, p: &Problem) {
        // SAFETY: the caller's; each byte count is that of the slice, and the tensors
        // are at least as large by construction.
        unsafe {
            let set = |tensor: *mut ggml_tensor, at: usize, bytes: &[u8]| {
                ggml_backend_tensor_set(tensor, bytes.as_ptr().cast(), at, bytes.len());
            };
            set(self.queries, 0, &encode(GGML_TYPE_F32, &p.queries()));
            for (cache, numbers) in [(self.keys, p.keys()), (self.values, p.values())] {
                // What attention must not look at is not even a number.
                let nothing = vec![0xffu8; ggml_nbytes(cache)];
                set(cache, 0, &nothing);
                let per_sequence = numbers.len() / p.n_sequences;
                for (i, cells) in numbers.chunks(per_sequence).enumerate() {
                    set(cache, i * (*cache).nb[2], &encode((*cache).type_, cells));
                }
            }
            if let Some(mask) = p.mask() {
                let bytes: Vec<u8> = mask.iter().flat_map(|x| x.to_ne_bytes()).collect();
                set(self.mask, 0, &bytes);
            }
            if !self.sinks.is_null() {
                let sinks = vec![0.5f32; p.n_heads()];
                set(self.sinks, 0, &encode(GGML_TYPE_F32, &sinks));
            }
        }
    }
}
