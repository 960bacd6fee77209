/* The switch between this package's own kernels and ggml's. The Rust side of
 * this interface is src/kernels.rs. */
#pragma once

#include <stdbool.h>

/* Whether operations that a kernel of ours can compute go to it (the state at
 * the start) or to ggml. To be called only while no graph is computed: a graph
 * is planned and computed by the same kernels. */
#ifdef __cplusplus
extern "C"
#endif
void ggml_sys_use_own_kernels(bool own);
