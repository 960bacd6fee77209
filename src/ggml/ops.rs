//! The operations that the model's graphs are made of, as methods of [`Context`].
//!
//! Each adds one node and returns its result; nothing is computed yet.

use super::{Context, Tensor};
use ggml_sys as sys;

/// How [`Context::rope`] turns pairs of elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rope {
    /// Elements that are turned, in pairs of neighbours.
    pub n_dims: usize,
    /// First element that is turned; the others pass unchanged.
    pub offset: usize,
}

/// How exact the products of an operation must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// As of f32 numbers.
    F32,
    /// As of numbers rounded to bf16, whose products are added in f32: faster where the processor
    /// multiplies bf16.
    Bf16,
}

impl Context {
    fn unary(
        &self,
        a: &Tensor,
        op: unsafe extern "C" fn(
            *mut sys::ggml_context,
            *mut sys::ggml_tensor,
        ) -> *mut sys::ggml_tensor,
    ) -> Tensor {
        self.refer_to(a);
        // SAFETY: context and operand are alive, the operand's arena for as long as this one.
        self.wrap(unsafe { op(self.as_ptr(), a.as_ptr()) })
    }

    fn binary(
        &self,
        a: &Tensor,
        b: &Tensor,
        op: unsafe extern "C" fn(
            *mut sys::ggml_context,
            *mut sys::ggml_tensor,
            *mut sys::ggml_tensor,
        ) -> *mut sys::ggml_tensor,
    ) -> Tensor {
        self.refer_to(a);
        self.refer_to(b);
        // SAFETY: as in `unary`.
        self.wrap(unsafe { op(self.as_ptr(), a.as_ptr(), b.as_ptr()) })
    }

    /// `a + b`, `b` repeated along dimensions where it is 1.
    pub fn add(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.binary(a, b, sys::ggml_add)
    }

    /// `a · b` element by element, `b` repeated along dimensions where it is 1.
    pub fn mul(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.binary(a, b, sys::ggml_mul)
    }

    /// Matrix product: `weight` `[k, n]` and `x` `[k, m]` give `[n, m]`.
    pub fn mul_mat(&self, weight: &Tensor, x: &Tensor) -> Tensor {
        self.binary(weight, x, sys::ggml_mul_mat)
    }

    /// Rows of `table` `[k, n]` numbered by `rows` (i32, `[m]`), as f32: `[k, m]`.
    pub fn get_rows(&self, table: &Tensor, rows: &Tensor) -> Tensor {
        self.binary(table, rows, sys::ggml_get_rows)
    }

    /// `table` `[k, n]` with the rows numbered by `rows` (i64, `[m]`) overwritten by `values`
    /// (f32, `[k, m]`), in place and converted to the table's type.
    pub fn set_rows(&self, table: &Tensor, values: &Tensor, rows: &Tensor) -> Tensor {
        self.refer_to(table);
        self.refer_to(values);
        self.refer_to(rows);
        // SAFETY: as in `unary`.
        self.wrap(unsafe {
            sys::ggml_set_rows(
                self.as_ptr(),
                table.as_ptr(),
                values.as_ptr(),
                rows.as_ptr(),
            )
        })
    }

    /// Each row divided by the root of its mean square plus `eps`.
    pub fn rms_norm(&self, a: &Tensor, eps: f32) -> Tensor {
        self.refer_to(a);
        // SAFETY: as in `unary`.
        self.wrap(unsafe { sys::ggml_rms_norm(self.as_ptr(), a.as_ptr(), eps) })
    }

    /// `silu(gate) · up`.
    pub fn swiglu(&self, gate: &Tensor, up: &Tensor) -> Tensor {
        self.binary(gate, up, sys::ggml_swiglu_split)
    }

    /// The exact GELU, by the error function.
    pub fn gelu_erf(&self, a: &Tensor) -> Tensor {
        self.unary(a, sys::ggml_gelu_erf)
    }

    /// Rotary positions on neighbouring pairs of `a` `[head_dim, n_head, n_tokens]`: pair `i` of
    /// token `t` turns by `positions[t] / periods[i]`.
    ///
    /// `periods` (f32, `[head_dim / 2]` at least) are the reciprocals of the rotary frequencies.
    /// Giving them, with a base of 1, makes each angle one division instead of a running product
    /// of the base's root, whose rounding error grows from pair to pair.
    pub(crate) fn rope(
        &self,
        a: &Tensor,
        positions: &Tensor,
        periods: &Tensor,
        rope: Rope,
    ) -> Tensor {
        for tensor in [a, positions, periods] {
            self.refer_to(tensor);
        }
        // SAFETY: as in `unary`; ggml reads `periods` up to half of a's row, which the shape
        // stated above provides.
        self.wrap(unsafe {
            let result = sys::ggml_rope_ext(
                self.as_ptr(),
                a.as_ptr(),
                positions.as_ptr(),
                periods.as_ptr(),
                rope.n_dims as i32,
                sys::GGML_ROPE_TYPE_NORMAL as i32,
                0,
                1.0,
                1.0,
                0.0,
                1.0,
                0.0,
                0.0,
            );
            sys::ggml_rope_set_offset(result, rope.offset as i32)
        })
    }

    /// Attention without a score matrix: `q` `[head_dim, n_tokens, n_head]`, `k` and `v`
    /// `[head_dim, n_kv, n_head_kv]`, `mask` f16 `[n_kv, n_tokens]` added to the scores
    /// `scale · qᵀk`. Gives `[head_dim, n_head, n_tokens]` in f32, from products of at least
    /// `precision`.
    pub(crate) fn flash_attention(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        mask: Option<&Tensor>,
        scale: f32,
        precision: Precision,
    ) -> Tensor {
        for tensor in [q, k, v].into_iter().chain(mask) {
            self.refer_to(tensor);
        }
        // SAFETY: as in `unary`; a null mask is allowed.
        self.wrap(unsafe {
            let result = sys::ggml_flash_attn_ext(
                self.as_ptr(),
                q.as_ptr(),
                k.as_ptr(),
                v.as_ptr(),
                mask.map_or(std::ptr::null_mut(), Tensor::as_ptr),
                scale,
                0.0,
                0.0,
            );
            // Where nothing is asked for, kernels choose; none of them goes below bf16.
            if precision == Precision::F32 {
                sys::ggml_prec_set_acc(result, sys::GGML_PREC_F32);
            }
            result
        })
    }

    /// `a` `[d, m, n1]` and then `b` `[d, m, n2]` along the third dimension: `[d, m, n1 + n2]`.
    pub fn concat_2(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.refer_to(a);
        self.refer_to(b);
        // SAFETY: as in `unary`.
        self.wrap(unsafe { sys::ggml_concat(self.as_ptr(), a.as_ptr(), b.as_ptr(), 2) })
    }

    /// The same elements in memory order under new dimensions.
    pub fn reshape(&self, a: &Tensor, dims: [usize; 3]) -> Tensor {
        self.refer_to(a);
        let [ne0, ne1, ne2] = dims.map(|n| n as i64);
        // SAFETY: as in `unary`.
        self.wrap(unsafe { sys::ggml_reshape_3d(self.as_ptr(), a.as_ptr(), ne0, ne1, ne2) })
    }

    /// The same elements seen with the second and third dimension exchanged.
    pub fn swap_1_2(&self, a: &Tensor) -> Tensor {
        self.refer_to(a);
        // SAFETY: as in `unary`.
        self.wrap(unsafe { sys::ggml_permute(self.as_ptr(), a.as_ptr(), 0, 2, 1, 3) })
    }

    /// A window of `a`: `dims` elements, `strides` bytes apart along the second and third
    /// dimension, from byte `offset` on.
    pub fn view_3d(
        &self,
        a: &Tensor,
        dims: [usize; 3],
        strides: [usize; 2],
        offset: usize,
    ) -> Tensor {
        self.refer_to(a);
        let [ne0, ne1, ne2] = dims.map(|n| n as i64);
        // SAFETY: as in `unary`; ggml asserts that the window lies inside `a`.
        self.wrap(unsafe {
            sys::ggml_view_3d(
                self.as_ptr(),
                a.as_ptr(),
                ne0,
                ne1,
                ne2,
                strides[0],
                strides[1],
                offset,
            )
        })
    }
}
