// What the programs on llama.cpp's public C interface share: handles that free themselves, errors,
// options and times.
#pragma once

#include "ggml-backend.h"
#include "llama.h"
#include "mtmd.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

template <typename T, void (*Free)(T *)> struct Freed {
    void operator()(T * p) const { Free(p); }
};
using Model   = std::unique_ptr<llama_model, Freed<llama_model, llama_model_free>>;
using Context = std::unique_ptr<llama_context, Freed<llama_context, llama_free>>;
using Vision  = std::unique_ptr<mtmd_context, Freed<mtmd_context, mtmd_free>>;
using Bitmap  = std::unique_ptr<mtmd_bitmap, Freed<mtmd_bitmap, mtmd_bitmap_free>>;
using Chunks  = std::unique_ptr<mtmd_input_chunks, Freed<mtmd_input_chunks, mtmd_input_chunks_free>>;

inline void must(bool ok, const std::string & what) {
    if (!ok) {
        throw std::runtime_error(what + " failed");
    }
}

inline int number(const std::string & name, const char * text, int least) {
    char * end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < least || n > 1 << 24) {
        throw std::runtime_error(name + ": expected a number from " + std::to_string(least) + " on, found " + text);
    }
    return int(n);
}

inline double seconds_of(const std::function<void()> & work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Timing {
    std::vector<double> runs; // sorted, in seconds

    double median() const { return runs[runs.size() / 2]; }

    std::string json() const {
        std::string list;
        for (double run : runs) {
            list += (list.empty() ? "" : ", ") + std::to_string(run);
        }
        return "{\"median_s\": " + std::to_string(median()) + ", \"runs_s\": [" + list + "]}";
    }
};

// One run that is not counted, then `repetitions` that are.
inline Timing measure(int repetitions, const std::function<void()> & work) {
    work();
    Timing timing;
    for (int i = 0; i < repetitions; ++i) {
        timing.runs.push_back(seconds_of(work));
    }
    std::sort(timing.runs.begin(), timing.runs.end());
    return timing;
}

inline void log_errors(ggml_log_level level, const char * text, void *) {
    if (level == GGML_LOG_LEVEL_ERROR) {
        std::fputs(text, stderr);
    }
}

// Runs `work` and reports its failure in one line.
inline int run_reported(const char * program, const std::function<void()> & work) {
    try {
        llama_log_set(log_errors, nullptr);
        ggml_backend_load_all();
        work();
        return 0;
    } catch (const std::exception & e) {
        std::fprintf(stderr, "%s: %s\n", program, e.what());
        return 1;
    }
}
