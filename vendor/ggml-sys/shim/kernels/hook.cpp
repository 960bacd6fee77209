/* Puts this package's kernels before ggml's. ggml's CPU backend asks two
 * functions, defined in its traits.cpp, about every operation before it computes
 * the operation itself. This file stands in for traits.cpp: it asks our kernels
 * first, then does what ggml does. */
#define ggml_cpu_extra_compute_forward stock_extra_compute_forward
#define ggml_cpu_extra_work_size stock_extra_work_size
#include "traits.cpp"
#undef ggml_cpu_extra_compute_forward
#undef ggml_cpu_extra_work_size

#include <atomic>

#include "../own_kernels.h"
#include "attention.h"
#include "gelu.h"
#include "kernel.h"
#include "matmul/matmul.h"

namespace {

using ggml_sys::Kernel;

/* The kernels that this instruction set has; those for one operation in the
 * order in which they are asked. */
const Kernel *const KERNELS[] = {
#if defined(GGML_SYS_HAS_FEW)
    &ggml_sys::few_columns,
#endif
#if defined(GGML_SYS_HAS_MATMUL)
    &ggml_sys::matmul,
#endif
#ifdef KERNEL_SIMD
    &ggml_sys::attention_kernel,
    &ggml_sys::gelu_kernel,
#endif
    nullptr,
};

std::atomic<bool> use_own{true};

/* Whether the tensor's bytes are laid out as its type says: there are buffers
 * that rearrange weights for kernels of ggml. */
bool is_plain(const ggml_tensor *tensor) {
    const ggml_backend_buffer *buffer = tensor->view_src ? tensor->view_src->buffer : tensor->buffer;
    return !buffer || ggml_backend_buffer_is_host((ggml_backend_buffer_t)buffer);
}

bool has_plain_operands(const ggml_tensor *op) {
    for (const ggml_tensor *source : op->src) {
        if (source && !is_plain(source)) {
            return false;
        }
    }
    return true;
}

const Kernel *find(const ggml_tensor *op) {
    if (!use_own.load(std::memory_order_relaxed)) {
        return nullptr;
    }
    for (const Kernel *const *kernel = KERNELS; *kernel; kernel++) {
        if ((*kernel)->op == op->op && (*kernel)->accepts(op) && has_plain_operands(op)) {
            return *kernel;
        }
    }
    return nullptr;
}

} // namespace

extern "C" {

void ggml_sys_use_own_kernels(bool own) {
    use_own.store(own, std::memory_order_relaxed);
}

bool ggml_cpu_extra_compute_forward(ggml_compute_params *params, ggml_tensor *op) {
    if (const Kernel *kernel = find(op)) {
        kernel->compute(params, op);
        return true;
    }
    return stock_extra_compute_forward(params, op);
}

bool ggml_cpu_extra_work_size(int n_threads, const ggml_tensor *op, size_t *size) {
    if (const Kernel *kernel = find(op)) {
        *size = kernel->work_size(n_threads, op);
        return true;
    }
    return stock_extra_work_size(n_threads, op, size);
}

} // extern "C"
