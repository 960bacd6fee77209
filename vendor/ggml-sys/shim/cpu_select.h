/* The builds of the CPU kernels in this library and the one in use. The Rust
 * side of this interface is src/cpu.rs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum ggml_sys_cpu_status {
    GGML_SYS_CPU_OK = 0,
    GGML_SYS_CPU_UNKNOWN = 1,     /* no build has this name */
    GGML_SYS_CPU_UNSUPPORTED = 2, /* this processor cannot run it */
    GGML_SYS_CPU_IN_USE = 3,      /* another one is in use already */
};

/* The builds, best first. */
size_t ggml_sys_cpu_count(void);
const char *ggml_sys_cpu_name(size_t index);
bool ggml_sys_cpu_is_supported(size_t index);

/* Takes the build with this name into use; NULL stands for the best that this
 * processor runs. The choice is final, since buffers, thread pools and function
 * pointers of one build mean nothing to another: asking again for the same is
 * fine, for another fails. Any thread may call it. */
enum ggml_sys_cpu_status ggml_sys_cpu_use(const char *name);

/* The build in use, or NULL before the first choice. */
const char *ggml_sys_cpu_in_use(void);
