// Measures llama.cpp through its public C interface, as `pixtral bench --json` measures pixtral: the
// same pictures, ids, repetitions and report. It stands in for llama-bench, which the package that
// llama.cpp is built from leaves out, and adds the vision tower, which llama-bench does not know.

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

namespace {

struct Options {
    std::string model, mmproj;
    int threads = 1, prompt = 512, generate = 32, repetitions = 3, image_max_tokens = -1;
    int gpu_layers = 0; // of the text model; the vision tower goes with the first
    bool repack = true;
    std::vector<std::pair<int, int>> images;
};

int number(const std::string & name, const char * text, int least) {
    char * end = nullptr;
    const long n = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || n < least || n > 1 << 24) {
        throw std::runtime_error(name + ": expected a number from " + std::to_string(least) + ", found " + text);
    }
    return int(n);
}

int positive(const std::string & name, const char * text) {
    return number(name, text, 1);
}

Options parse(int argc, char ** argv) {
    Options o;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--no-repack") {
            o.repack = false;
            continue;
        }
        if (++i == argc) {
            throw std::runtime_error(name + ": a value is missing");
        }
        const char * value = argv[i];
        if (name == "--model") {
            o.model = value;
        } else if (name == "--mmproj") {
            o.mmproj = value;
        } else if (name == "--threads") {
            o.threads = positive(name, value);
        } else if (name == "--prompt") {
            o.prompt = positive(name, value);
        } else if (name == "--generate") {
            o.generate = positive(name, value);
        } else if (name == "--repetitions") {
            o.repetitions = positive(name, value);
        } else if (name == "--image-max-tokens") {
            o.image_max_tokens = positive(name, value);
        } else if (name == "--gpu-layers") {
            o.gpu_layers = number(name, value, 0);
        } else if (name == "--image") {
            int width = 0, height = 0;
            if (std::sscanf(value, "%dx%d", &width, &height) != 2 || width < 1 || height < 1) {
                throw std::runtime_error("--image: expected WIDTHxHEIGHT, found " + std::string(value));
            }
            o.images.emplace_back(width, height);
        } else {
            throw std::runtime_error("unknown option " + name);
        }
    }
    if (o.model.empty() || o.mmproj.empty()) {
        throw std::runtime_error("--model and --mmproj are needed");
    }
    return o;
}

double seconds_of(const std::function<void()> & work) {
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
Timing measure(int repetitions, const std::function<void()> & work) {
    work();
    Timing timing;
    for (int i = 0; i < repetitions; ++i) {
        timing.runs.push_back(seconds_of(work));
    }
    std::sort(timing.runs.begin(), timing.runs.end());
    return timing;
}

void must(bool ok, const char * what) {
    if (!ok) {
        throw std::runtime_error(std::string(what) + " failed");
    }
}

template <typename T, void (*Free)(T *)> struct Freed {
    void operator()(T * p) const { Free(p); }
};
using Model   = std::unique_ptr<llama_model, Freed<llama_model, llama_model_free>>;
using Context = std::unique_ptr<llama_context, Freed<llama_context, llama_free>>;
using Vision  = std::unique_ptr<mtmd_context, Freed<mtmd_context, mtmd_free>>;
using Bitmap  = std::unique_ptr<mtmd_bitmap, Freed<mtmd_bitmap, mtmd_bitmap_free>>;
using Chunks  = std::unique_ptr<mtmd_input_chunks, Freed<mtmd_input_chunks, mtmd_input_chunks_free>>;

// Times the encoding of a picture of the given size, without resizing it, and reports it as JSON.
std::string encode(const Options & o, mtmd_context * vision, int width, int height) {
    std::vector<unsigned char> rgb(size_t(3) * width * height);
    for (size_t i = 0; i < rgb.size(); ++i) {
        rgb[i] = (unsigned char) (i % 251);
    }
    Bitmap bitmap(mtmd_bitmap_init(width, height, rgb.data()));
    Chunks chunks(mtmd_input_chunks_init());
    const std::string text = mtmd_default_marker();
    const mtmd_input_text input = { text.c_str(), text.size(), false, true };
    const mtmd_bitmap * bitmaps[] = { bitmap.get() };
    must(mtmd_tokenize(vision, chunks.get(), &input, bitmaps, 1) == 0, "preparing the picture");
    for (size_t i = 0; i < mtmd_input_chunks_size(chunks.get()); ++i) {
        const mtmd_input_chunk * chunk = mtmd_input_chunks_get(chunks.get(), i);
        if (mtmd_input_chunk_get_type(chunk) != MTMD_INPUT_CHUNK_TYPE_IMAGE) {
            continue;
        }
        const Timing time = measure(o.repetitions, [&] {
            must(mtmd_encode_chunk(vision, chunk) == 0, "encoding the picture");
        });
        return "{\"width\": " + std::to_string(width) + ", \"height\": " + std::to_string(height) +
               ", \"tokens\": " + std::to_string(mtmd_input_chunk_get_n_tokens(chunk)) +
               ", \"time\": " + time.json() + "}";
    }
    throw std::runtime_error("the picture gave no tokens");
}

void decode(llama_context * context, llama_token * ids, int n) {
    must(llama_decode(context, llama_batch_get_one(ids, n)) == 0, "decoding");
}

std::string phase(int tokens, const Timing & time) {
    return "{\"tokens\": " + std::to_string(tokens) +
           ", \"tokens_per_s\": " + std::to_string(tokens / time.median()) + ", \"time\": " + time.json() + "}";
}

void log_errors(ggml_log_level level, const char * text, void *) {
    if (level == GGML_LOG_LEVEL_ERROR) {
        std::fputs(text, stderr);
    }
}

void run(const Options & o) {
    llama_log_set(log_errors, nullptr);
    mtmd_log_set(log_errors, nullptr);
    ggml_backend_load_all();
    Model model;
    Vision vision;
    const double load = seconds_of([&] {
        llama_model_params params = llama_model_default_params();
        params.use_extra_bufts = o.repack;
        params.n_gpu_layers = o.gpu_layers;
        model.reset(llama_model_load_from_file(o.model.c_str(), params));
        must(model != nullptr, "loading the text model");
        mtmd_context_params vision_params = mtmd_context_params_default();
        vision_params.use_gpu = o.gpu_layers > 0;
        vision_params.print_timings = false;
        vision_params.n_threads = o.threads;
        vision_params.warmup = false;
        vision_params.image_max_tokens = o.image_max_tokens;
        vision.reset(mtmd_init_from_file(o.mmproj.c_str(), model.get(), vision_params));
        must(vision != nullptr, "loading the vision model");
    });
    llama_context_params params = llama_context_default_params();
    params.n_ctx = o.prompt + o.generate;
    params.n_threads = params.n_threads_batch = o.threads;
    Context context;
    const double prepare = seconds_of([&] {
        context.reset(llama_init_from_model(model.get(), params));
        must(context != nullptr, "making a context");
    });

    std::string encodes;
    for (auto [width, height] : o.images) {
        encodes += (encodes.empty() ? "" : ", ") + encode(o, vision.get(), width, height);
    }
    const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model.get()));
    std::vector<llama_token> ids(std::max(o.prompt, o.generate));
    for (size_t i = 0; i < ids.size(); ++i) {
        ids[i] = llama_token(i * 7919 % n_vocab);
    }
    const int n_batch = int(llama_n_batch(context.get()));
    llama_memory_t memory = llama_get_memory(context.get());
    const Timing prefill = measure(o.repetitions, [&] {
        llama_memory_clear(memory, false);
        for (int i = 0; i < o.prompt; i += n_batch) {
            decode(context.get(), &ids[i], std::min(n_batch, o.prompt - i));
        }
        llama_synchronize(context.get());
    });
    const Timing generation = measure(o.repetitions, [&] {
        llama_memory_seq_rm(memory, 0, o.prompt, -1);
        for (int i = 0; i < o.generate; ++i) {
            decode(context.get(), &ids[i], 1);
            llama_synchronize(context.get());
        }
    });
    std::printf("{\"threads\": %d, \"load_s\": %f, \"context_s\": %f, \"encode\": [%s], \"prefill\": %s, \"decode\": %s}\n",
                o.threads, load, prepare, encodes.c_str(), phase(o.prompt, prefill).c_str(),
                phase(o.generate, generation).c_str());
}

} // namespace

int main(int argc, char ** argv) {
    try {
        run(parse(argc, argv));
        return 0;
    } catch (const std::exception & e) {
        std::fprintf(stderr, "peer-bench: %s\n", e.what());
        return 1;
    }
}
