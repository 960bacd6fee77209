/* The interface of this package's own kernels. A kernel computes one kind of
 * operation for the types and shapes that it accepts, on weights as they lie in
 * the file; everything else is left to ggml. hook.cpp lists the kernels. */
#pragma once

#include <cstddef>

#include "ggml-cpu-impl.h"
#include "ggml.h"

namespace ggml_sys {

struct Kernel {
    ggml_op op;

    /* Whether the kernel computes this operation. Asked when a graph is planned
     * and again by each thread that computes it, so the answer may depend on
     * nothing but the types and shapes of the tensors. */
    bool (*accepts)(const ggml_tensor *op);

    /* Bytes of work memory that all threads together need. */
    size_t (*work_size)(int n_threads, const ggml_tensor *op);

    /* Computes the part of thread `params->ith` out of `params->nth`. */
    void (*compute)(const ggml_compute_params *params, ggml_tensor *op);
};

} // namespace ggml_sys
