/* The exact GELU of our own. */
#pragma once

#include "kernel.h"
#include "simd.h"

namespace ggml_sys {

#ifdef KERNEL_SIMD
extern const Kernel gelu_kernel;
#endif

} // namespace ggml_sys
