/* Flash attention of our own. */
#pragma once

#include "kernel.h"
#include "simd.h"

namespace ggml_sys {

#ifdef KERNEL_SIMD
extern const Kernel attention_kernel;
#endif

} // namespace ggml_sys
