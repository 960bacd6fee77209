/* Rows to K-quants and q8_0, faster than ggml's own code and with the same bytes. The Rust side of
 * this interface is src/quantize.rs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ggml.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Quantises `n` values, a multiple of the block size, as ggml_quantize_chunk does without an
 * importance matrix. Returns false, and does nothing, for types that this build of the kernels
 * leaves to ggml. */
bool ggml_sys_quantize(enum ggml_type type, const float *src, void *dst, int64_t n);

#ifdef __cplusplus
}
#endif
