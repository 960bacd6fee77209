// Measures llama.cpp through its public C interface, as `pixtral bench --json` and conversations with
// `pixtral chat --json` measure pixtral: the same pictures, ids, repetitions and report. It stands in
// for llama-bench and llama-server, which the package that llama.cpp is built from leaves out.

#include "options.h"

#include "mtmd-helper.h"

namespace {

struct Peer {
    const Options & o;
    Model model;
    Vision vision;
    Context context;
    llama_memory_t memory = nullptr;

    explicit Peer(const Options & options) : o(options) {}

    void load() {
        llama_model_params params = llama_model_default_params();
        params.use_extra_bufts = o.repack;
        params.n_gpu_layers = o.gpu_layers;
        params.load_mode = o.mmap ? LLAMA_LOAD_MODE_AUTO : LLAMA_LOAD_MODE_NONE;
        model.reset(llama_model_load_from_file(o.model.c_str(), params));
        must(model != nullptr, "loading the text model");
        if (o.mmproj.empty()) {
            return;
        }
        mtmd_context_params vision_params = mtmd_context_params_default();
        vision_params.use_gpu = o.gpu_layers > 0;
        vision_params.print_timings = false;
        vision_params.n_threads = o.threads;
        vision_params.warmup = false;
        vision_params.flash_attn_type = o.flash;
        vision_params.image_max_tokens = o.image_max_tokens;
        vision.reset(mtmd_init_from_file(o.mmproj.c_str(), model.get(), vision_params));
        must(vision != nullptr, "loading the vision model");
    }

    void make_context() {
        llama_context_params params = llama_context_default_params();
        params.n_ctx = std::max({ o.context, o.prompt + o.parallel * o.generate, o.before + o.generate, 1 });
        params.n_threads = params.n_threads_batch = o.threads;
        params.flash_attn_type = o.flash;
        // A second sequence, in the same cells, is needed for making a long context out of a short one.
        params.n_seq_max = o.before > 0 ? 2 : o.parallel;
        params.kv_unified = true;
        context.reset(llama_init_from_model(model.get(), params));
        must(context != nullptr, "making a context");
        memory = llama_get_memory(context.get());
    }

    int n_past() const { return llama_memory_seq_pos_max(memory, 0) + 1; }

    // Appends `ids` in batches and waits for the result.
    void read(llama_token * ids, int n) {
        const int n_batch = int(llama_n_batch(context.get()));
        for (int i = 0; i < n; i += n_batch) {
            const llama_batch batch = llama_batch_get_one(ids + i, std::min(n_batch, n - i));
            must(llama_decode(context.get(), batch) == 0, "decoding");
        }
        llama_synchronize(context.get());
    }

    // Doubles the sequence until it is at least `n` tokens long, by copies of its keys and values at
    // later positions, and cuts it there. What they say does not matter for the speed of what follows.
    void lengthen(int n) {
        while (n_past() < n) {
            const int length = n_past();
            std::vector<uint8_t> state(llama_state_seq_get_size(context.get(), 0));
            must(llama_state_seq_get_data(context.get(), state.data(), state.size(), 0) != 0, "copying a sequence");
            must(llama_state_seq_set_data(context.get(), state.data(), state.size(), 1) != 0, "copying a sequence");
            llama_memory_seq_rm(memory, 1, n - length, -1);
            llama_memory_seq_add(memory, 1, 0, -1, length);
            llama_memory_seq_cp(memory, 1, 0, -1, -1);
            llama_memory_seq_rm(memory, 1, -1, -1);
        }
    }
};

// The first picture among `chunks`.
const mtmd_input_chunk * picture_of(const mtmd_input_chunks * chunks) {
    for (size_t i = 0; i < mtmd_input_chunks_size(chunks); ++i) {
        const mtmd_input_chunk * chunk = mtmd_input_chunks_get(chunks, i);
        if (mtmd_input_chunk_get_type(chunk) == MTMD_INPUT_CHUNK_TYPE_IMAGE) {
            return chunk;
        }
    }
    throw std::runtime_error("the picture gave no tokens");
}

Chunks chunks_of(mtmd_context * vision, const std::string & text, const mtmd_bitmap * bitmap) {
    Chunks chunks(mtmd_input_chunks_init());
    const mtmd_input_text input = { text.c_str(), text.size(), true, true };
    must(mtmd_tokenize(vision, chunks.get(), &input, &bitmap, 1) == 0, "preparing the picture");
    return chunks;
}

// Times the encoding of a picture of the given size, without resizing it, and reports it as JSON.
std::string encode(const Peer & peer, int width, int height) {
    std::vector<unsigned char> rgb(size_t(3) * width * height);
    for (size_t i = 0; i < rgb.size(); ++i) {
        rgb[i] = (unsigned char) (i % 251);
    }
    Bitmap bitmap(mtmd_bitmap_init(width, height, rgb.data()));
    const Chunks chunks = chunks_of(peer.vision.get(), mtmd_default_marker(), bitmap.get());
    const mtmd_input_chunk * chunk = picture_of(chunks.get());
    const Timing time = measure(peer.o.repetitions, [&] {
        must(mtmd_encode_chunk(peer.vision.get(), chunk) == 0, "encoding the picture");
    });
    return "{\"width\": " + std::to_string(width) + ", \"height\": " + std::to_string(height) +
           ", \"tokens\": " + std::to_string(mtmd_input_chunk_get_n_tokens(chunk)) + ", \"time\": " + time.json() + "}";
}

std::string phase(int tokens, const Timing & time) {
    return "{\"tokens\": " + std::to_string(tokens) +
           ", \"tokens_per_s\": " + std::to_string(tokens / time.median()) + ", \"time\": " + time.json() + "}";
}

// Times reading a prompt and generating after it, or after a context of `before` tokens.
std::string prefill_and_decode(Peer & peer) {
    const Options & o = peer.o;
    const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(peer.model.get()));
    std::vector<llama_token> ids(std::max(o.prompt, o.generate));
    for (size_t i = 0; i < ids.size(); ++i) {
        ids[i] = llama_token(i * 7919 % n_vocab);
    }
    const Timing prefill = measure(o.repetitions, [&] {
        llama_memory_clear(peer.memory, false);
        peer.read(ids.data(), o.prompt);
    });
    std::string report = ", \"prefill\": " + phase(o.prompt, prefill);
    if (o.generate > 0) {
        peer.lengthen(o.before);
        const int start = peer.n_past();
        const Timing generation = measure(o.repetitions, [&] {
            llama_memory_seq_rm(peer.memory, 0, start, -1);
            for (int i = 0; i < o.generate; ++i) {
                peer.read(&ids[i], 1);
            }
        });
        report += ", \"before\": " + std::to_string(start) + ", \"decode\": " + phase(o.generate, generation);
    }
    return report;
}

// Times generating several answers to one prompt at once, a batch of one token of each a step.
std::string parallel(Peer & peer) {
    const Options & o = peer.o;
    const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(peer.model.get()));
    std::vector<llama_token> ids(o.prompt);
    for (size_t i = 0; i < ids.size(); ++i) {
        ids[i] = llama_token(i * 7919 % n_vocab);
    }
    peer.read(ids.data(), o.prompt);
    for (int s = 1; s < o.parallel; ++s) {
        llama_memory_seq_cp(peer.memory, 0, s, -1, -1);
    }
    llama_batch batch = llama_batch_init(o.parallel, 0, 1);
    batch.n_tokens = o.parallel;
    const Timing time = measure(o.repetitions, [&] {
        for (int s = 0; s < o.parallel; ++s) {
            llama_memory_seq_rm(peer.memory, s, o.prompt, -1);
        }
        for (int i = 0; i < o.generate; ++i) {
            for (int s = 0; s < o.parallel; ++s) {
                batch.token[s] = llama_token((i + s + 1) * 7919 % n_vocab);
                batch.pos[s] = o.prompt + i;
                batch.n_seq_id[s] = 1;
                batch.seq_id[s][0] = s;
                batch.logits[s] = true;
            }
            must(llama_decode(peer.context.get(), batch) == 0, "decoding");
            llama_synchronize(peer.context.get());
        }
    });
    llama_batch_free(batch);
    return ", \"parallel\": " + phase(o.parallel * o.generate, time);
}

// Reads "one picture, one question" and reports what the encoder and the decoder took.
std::string picture(Peer & peer) {
    const Options & o = peer.o;
    mtmd_context * vision = peer.vision.get();
    const mtmd_helper_init_opt defaults = mtmd_helper_init_opt_default();
    Bitmap bitmap(mtmd_helper_bitmap_init_from_file(vision, o.picture.c_str(), false, defaults).bitmap);
    must(bitmap != nullptr, "reading the picture");
    const std::string prompt = std::string("[INST]") + mtmd_default_marker() + o.question + "[/INST]";
    const Chunks chunks = chunks_of(vision, prompt, bitmap.get());
    const mtmd_input_chunk * image = picture_of(chunks.get());
    const size_t n_chunks = mtmd_input_chunks_size(chunks.get());
    const int n_batch = int(llama_n_batch(peer.context.get()));
    double encoding = 0;
    llama_pos n_past = 0;
    const double all = seconds_of([&] {
        for (size_t i = 0; i < n_chunks; ++i) {
            const mtmd_input_chunk * chunk = mtmd_input_chunks_get(chunks.get(), i);
            if (chunk != image) {
                must(mtmd_helper_eval_chunk_single(vision, peer.context.get(), chunk, n_past, 0, n_batch,
                                                   i + 1 == n_chunks, &n_past) == 0, "reading text");
                continue;
            }
            encoding = seconds_of([&] { must(mtmd_encode_chunk(vision, chunk) == 0, "encoding the picture"); });
            must(mtmd_helper_decode_image_chunk(vision, peer.context.get(), chunk, mtmd_get_output_embd(vision),
                                                n_past, 0, n_batch, &n_past, nullptr, nullptr) == 0,
                 "reading the picture");
        }
        llama_synchronize(peer.context.get());
    });
    return ", \"picture\": {\"tokens\": " + std::to_string(n_past) + ", \"encode_s\": " + std::to_string(encoding) +
           ", \"prefill_s\": " + std::to_string(all - encoding) + "}";
}

// Reads another question behind what is known, with an answer of one token between, and reports how
// long that took.
std::string second(Peer & peer) {
    const llama_vocab * vocab = llama_model_get_vocab(peer.model.get());
    const std::string text = "</s>[INST]" + peer.o.second + "[/INST]";
    std::vector<llama_token> ids(text.size() + 1);
    const int n = llama_tokenize(vocab, text.c_str(), int(text.size()), ids.data() + 1, int(ids.size()) - 1, false, true);
    must(n > 0, "splitting the second question into tokens");
    ids[0] = llama_token(7919 % llama_vocab_n_tokens(vocab));
    const int start = peer.n_past();
    const double time = seconds_of([&] {
        // What a server does before it reads the part of a prompt that is new.
        llama_memory_seq_rm(peer.memory, 0, start, -1);
        peer.read(ids.data(), n + 1);
    });
    return ", \"second\": {\"before\": " + std::to_string(start) + ", \"tokens\": " + std::to_string(n + 1) +
           ", \"seconds\": " + std::to_string(time) + "}";
}

void run(const Options & o) {
    mtmd_log_set(log_errors, nullptr);
    mtmd_helper_log_set(log_errors, nullptr);
    Peer peer(o);
    const double load = seconds_of([&] { peer.load(); });
    const double prepare = seconds_of([&] { peer.make_context(); });
    std::string report = "{\"threads\": " + std::to_string(o.threads) + ", \"load_s\": " + std::to_string(load) +
                         ", \"context_s\": " + std::to_string(prepare);
    std::string encodes;
    for (auto [width, height] : o.images) {
        encodes += (encodes.empty() ? "" : ", ") + encode(peer, width, height);
    }
    report += ", \"encode\": [" + encodes + "]";
    if (o.parallel > 1) {
        report += parallel(peer);
    } else if (o.prompt > 0) {
        report += prefill_and_decode(peer);
    }
    if (!o.picture.empty()) {
        report += picture(peer);
    }
    if (!o.save_state.empty()) {
        must(llama_state_seq_save_file(peer.context.get(), o.save_state.c_str(), 0, nullptr, 0) > 0,
             "saving the state");
    }
    if (!o.load_state.empty()) {
        llama_token none = 0;
        size_t n = 0;
        must(llama_state_seq_load_file(peer.context.get(), o.load_state.c_str(), 0, &none, 1, &n) > 0,
             "loading the state");
    }
    if (!o.second.empty()) {
        report += second(peer);
    }
    std::printf("%s}\n", report.c_str());
    std::fflush(stdout);
}

} // namespace

int main(int argc, char ** argv) {
    return run_reported("peer-bench", [&] { run(parse(argc, argv)); });
}
