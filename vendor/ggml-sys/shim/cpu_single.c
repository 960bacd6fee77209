/* cpu_select.h for a library with one build of the CPU kernels, whose public
 * functions are linked directly. The build defines its name. */
#include <string.h>

#include "cpu_select.h"

size_t ggml_sys_cpu_count(void) {
    return 1;
}

const char *ggml_sys_cpu_name(size_t index) {
    return index == 0 ? GGML_SYS_CPU_NAME : NULL;
}

bool ggml_sys_cpu_is_supported(size_t index) {
    return index == 0;
}

const char *ggml_sys_cpu_in_use(void) {
    return GGML_SYS_CPU_NAME;
}

enum ggml_sys_cpu_status ggml_sys_cpu_use(const char *name) {
    return !name || strcmp(name, GGML_SYS_CPU_NAME) == 0 ? GGML_SYS_CPU_OK : GGML_SYS_CPU_UNKNOWN;
}
