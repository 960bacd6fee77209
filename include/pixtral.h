/*
 * pixtral: run Mistral's Pixtral-12B, the model that reads pictures.
 *
 * Every function that can fail returns a pixtral_status; pixtral_last_error() then explains, for the
 * same thread, in a sentence. Nothing is written to standard output or standard error, no signal
 * handler is touched, and no panic or exception leaves the library.
 *
 * Texts are UTF-8 with a length in bytes; PIXTRAL_NUL_TERMINATED in the place of a length means "up
 * to the first NUL". Texts and bytes that are passed in are copied, or used only during the call.
 * Handles (pointers to types without a definition) belong to the caller, who frees each with the
 * function of that name; they may be freed in any order. What else is given out says to whom it
 * belongs.
 *
 * Structs may grow at their end. Their field struct_size says how long the program's are, so that
 * programs go on working with later libraries. Fill options with their _init function; set the
 * struct_size of structs that the library is to fill.
 *
 * Functions say which threads may call them. Where they say nothing, different handles can be used
 * by different threads at the same time, and one handle by one thread at a time.
 */

#ifndef PIXTRAL_H
#define PIXTRAL_H

/* Generated from tools/capi by cbindgen: change it there. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version of this header; pixtral_version() is the library's. */
#define PIXTRAL_VERSION_MAJOR 0
#define PIXTRAL_VERSION_MINOR 1
#define PIXTRAL_VERSION_PATCH 0

/* In the place of a length: the text ends at its first NUL. */
#define PIXTRAL_NUL_TERMINATED SIZE_MAX

// Result of most functions. The numbers never change; new ones may be added.
enum pixtral_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Done.
    PIXTRAL_STATUS_OK = 0,
    // An argument or option has no meaning here, or is NULL.
    PIXTRAL_STATUS_INVALID_ARGUMENT = 1,
    // Reading or writing failed for a reason that has no code of its own.
    PIXTRAL_STATUS_IO = 2,
    // A file or folder, or what was asked for by name, does not exist.
    PIXTRAL_STATUS_NOT_FOUND = 3,
    // The operating system refused access.
    PIXTRAL_STATUS_PERMISSION_DENIED = 4,
    // The disk is full, or would be.
    PIXTRAL_STATUS_DISK_FULL = 5,
    // A GGUF or session file is damaged, truncated or no such file at all.
    PIXTRAL_STATUS_INVALID_FILE = 6,
    // A sound file of a model that this library does not run.
    PIXTRAL_STATUS_UNSUPPORTED_MODEL = 7,
    // A checkpoint is incomplete or contradicts itself.
    PIXTRAL_STATUS_INVALID_CHECKPOINT = 8,
    // A tensor has the wrong shape, type or values.
    PIXTRAL_STATUS_INVALID_TENSOR = 9,
    // A picture cannot be decoded.
    PIXTRAL_STATUS_INVALID_IMAGE = 10,
    // A picture is beyond the decode limits.
    PIXTRAL_STATUS_IMAGE_TOO_LARGE = 11,
    // A tokenizer file is damaged or of an unknown kind.
    PIXTRAL_STATUS_INVALID_TOKENIZER = 12,
    // The conversation does not fit into the context.
    PIXTRAL_STATUS_CONTEXT_FULL = 13,
    // Memory could not be allocated.
    PIXTRAL_STATUS_OUT_OF_MEMORY = 14,
    // The caller cancelled the work.
    PIXTRAL_STATUS_CANCELLED = 15,
    // ggml reported a failure.
    PIXTRAL_STATUS_BACKEND = 16,
    // A tensor type that is unknown or cannot be used here.
    PIXTRAL_STATUS_UNSUPPORTED_TYPE = 17,
    // Bytes that should be UTF-8 are not.
    PIXTRAL_STATUS_INVALID_UTF8 = 18,
    // A broken promise inside the library: please report it.
    PIXTRAL_STATUS_INTERNAL = 19,
    // A checksum does not match its bytes.
    PIXTRAL_STATUS_CHECKSUM_MISMATCH = 20,
    // A device, or the connection to it, is gone; the conversation can go on without it.
    PIXTRAL_STATUS_DEVICE_LOST = 21,
    // Messages in an order or number that the template cannot express.
    PIXTRAL_STATUS_INVALID_MESSAGE_STRUCTURE = 40,
    // An assistant message that the template cannot express.
    PIXTRAL_STATUS_INVALID_ASSISTANT_MESSAGE = 41,
    // A tool call, or the result of one, with a name or id that is not allowed.
    PIXTRAL_STATUS_INVALID_FUNCTION_CALL = 42,
    // A tool declaration that is not allowed.
    PIXTRAL_STATUS_INVALID_TOOL = 43,
    // A tool declaration whose parameters are not a JSON schema.
    PIXTRAL_STATUS_INVALID_TOOL_SCHEMA = 44,
    // A request with a missing or mistyped field.
    PIXTRAL_STATUS_INVALID_REQUEST = 45,
    // A value that cannot be used.
    PIXTRAL_STATUS_INVALID_VALUE = 46,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pixtral_status pixtral_status;
#else
typedef int32_t pixtral_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How grave a message of the log is.
enum pixtral_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // For whoever works on the library.
    PIXTRAL_LOG_LEVEL_DEBUG = 0,
    // What happens.
    PIXTRAL_LOG_LEVEL_INFO = 1,
    // What may be wrong.
    PIXTRAL_LOG_LEVEL_WARN = 2,
    // What went wrong; the failing call returns an error as well.
    PIXTRAL_LOG_LEVEL_ERROR = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pixtral_log_level pixtral_log_level;
#else
typedef int32_t pixtral_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a pixtral_event is about.
enum pixtral_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // A model file's checksums are compared; `done` and `total` are bytes.
    PIXTRAL_EVENT_KIND_VERIFYING = 0,
    // A model file is copied into memory; `done` and `total` are bytes.
    PIXTRAL_EVENT_KIND_LOADING = 1,
    // Weights go to the memory of other devices; `done` and `total` are bytes.
    PIXTRAL_EVENT_KIND_PLACING = 2,
    // A picture passes through the vision tower: the `image`-th, from 0, of the `n_images` that are not
    // known yet; `done` and `total` are layers.
    PIXTRAL_EVENT_KIND_ENCODING = 3,
    // The prompt is read; `done` and `total` are tokens, those known from before included.
    PIXTRAL_EVENT_KIND_READING = 4,
    // The answer goes on with `text`.
    PIXTRAL_EVENT_KIND_TEXT = 5,
    // Something worth knowing, the sentence `text`: that a device is gone or has too little memory, and
    // what was done about it.
    PIXTRAL_EVENT_KIND_NOTE = 6,
    // Weights are converted; `done` and `total` are bytes, `text` is the tensor's name.
    PIXTRAL_EVENT_KIND_CONVERTING = 7,
    // An unfinished file is continued; `done` and `total` are tensors.
    PIXTRAL_EVENT_KIND_RESUMING = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pixtral_event_kind pixtral_event_kind;
#else
typedef int32_t pixtral_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Where weights are read from while computing.
enum pixtral_load_mode
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // What is best here, by what is known of the file and the memory.
    PIXTRAL_LOAD_MODE_AUTO = 0,
    // The mapped file, the default: ready at once, shared with other processes, and the system can take
    // the memory back.
    PIXTRAL_LOAD_MODE_MMAP = 1,
    // A copy in memory of the process's own, in huge pages where the system has them: takes as much memory
    // as the file is large, and reading it first.
    PIXTRAL_LOAD_MODE_COPY = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pixtral_load_mode pixtral_load_mode;
#else
typedef uint32_t pixtral_load_mode;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Whose message it is.
enum pixtral_role
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Instructions for the whole conversation.
    PIXTRAL_ROLE_SYSTEM = 0,
    // The person who asks.
    PIXTRAL_ROLE_USER = 1,
    // The model.
    PIXTRAL_ROLE_ASSISTANT = 2,
    // A tool that the model called.
    PIXTRAL_ROLE_TOOL = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pixtral_role pixtral_role;
#else
typedef uint32_t pixtral_role;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Storage of keys and values.
enum pixtral_kv_type
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // 16-bit floats, the default.
    PIXTRAL_KV_TYPE_F16 = 0,
    // 8-bit integers: about half the memory of f16.
    PIXTRAL_KV_TYPE_Q8_0 = 1,
    // 32-bit floats, for comparing with a reference.
    PIXTRAL_KV_TYPE_F32 = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pixtral_kv_type pixtral_kv_type;
#else
typedef uint32_t pixtral_kv_type;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Whether tokens are drafted from what was said before. Answers do not depend on it.
enum pixtral_speculation
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // When it pays.
    PIXTRAL_SPECULATION_AUTO = 0,
    // Never.
    PIXTRAL_SPECULATION_OFF = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pixtral_speculation pixtral_speculation;
#else
typedef uint32_t pixtral_speculation;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What an answer may be.
enum pixtral_constraint
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Whatever the model says.
    PIXTRAL_CONSTRAINT_NONE = 0,
    // JSON that fits a schema.
    PIXTRAL_CONSTRAINT_JSON_SCHEMA = 1,
    // Any JSON object.
    PIXTRAL_CONSTRAINT_JSON_OBJECT = 2,
    // Text that matches a regular expression from beginning to end.
    PIXTRAL_CONSTRAINT_REGEX = 3,
    // Text of a context-free grammar in llguidance's variant of the Lark language.
    PIXTRAL_CONSTRAINT_GRAMMAR = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pixtral_constraint pixtral_constraint;
#else
typedef uint32_t pixtral_constraint;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Why an answer ended.
enum pixtral_finish
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // The model ended it.
    PIXTRAL_FINISH_END_OF_TEXT = 0,
    // A stop text came.
    PIXTRAL_FINISH_STOP_TEXT = 1,
    // max_tokens were generated.
    PIXTRAL_FINISH_MAX_TOKENS = 2,
    // The context is full: the answer is incomplete.
    PIXTRAL_FINISH_CONTEXT_FULL = 3,
    // The caller cancelled, or ended it early: the answer is incomplete.
    PIXTRAL_FINISH_CANCELLED = 4,
    // For a reason that this interface has no name for.
    PIXTRAL_FINISH_OTHER = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pixtral_finish pixtral_finish;
#else
typedef int32_t pixtral_finish;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A picture, decoded and prepared for one model. Never changes: any number of threads and messages may
// use one at the same time.
typedef struct pixtral_image pixtral_image;

// A message in the making. One thread at a time.
typedef struct pixtral_message pixtral_message;

// An opened model. Any number of threads and sessions may use one at the same time; what was made
// from it keeps what it needs of it alive.
typedef struct pixtral_model pixtral_model;

// A conversation with a model. One call at a time, from any thread: another call meanwhile gets
// PIXTRAL_STATUS_INVALID_ARGUMENT, except for pixtral_session_cancel. Sessions of one model work side by
// side, and keep it alive.
typedef struct pixtral_session pixtral_session;

// Hears one message: NUL-terminated UTF-8 without a newline at its end, valid during the call. May be
// called by any thread, also by several at once, while a function of the library runs.
typedef void (*pixtral_log_callback)(pixtral_log_level level, const char *message, void *user_data);

// Progress, or a piece of an answer. Later versions may be longer: look at `struct_size` before
// reading a field that came later.
typedef struct {
    // Bytes of this struct.
    size_t struct_size;
    // What it is about. Ignore kinds that you do not know.
    pixtral_event_kind kind;
    // See the kind.
    uint32_t image;
    // See the kind.
    uint32_t n_images;
    // See the kind.
    uint64_t done;
    // See the kind.
    uint64_t total;
    // See the kind: NUL-terminated UTF-8, valid until the callback returns; else NULL.
    const char *text;
    // Bytes of `text`, the final NUL not counted.
    size_t text_len;
} pixtral_event;

// Is told what happens; anything but 0 as the result stops the call. Called by the thread that made
// the call, before that returns. It must not unwind or longjmp out, nor use the session it is called
// for, pixtral_session_cancel excepted.
typedef int32_t (*pixtral_event_callback)(const pixtral_event *event, void *user_data);

// How a model is opened. Fill it with pixtral_model_options_init, then change what you want.
typedef struct {
    // sizeof(pixtral_model_options).
    size_t struct_size;
    // 1 reads the whole file and compares it with its checksums; 0, the default, does not.
    uint32_t verify;
    // A pixtral_load_mode.
    uint32_t load_mode;
    // Is told of VERIFYING and LOADING, and may stop them; NULL for nobody.
    pixtral_event_callback callback;
    // What the callback is given.
    void *user_data;
} pixtral_model_options;

// What a model is. Set `struct_size` before pixtral_model_get_info.
typedef struct {
    // sizeof(pixtral_model_info).
    size_t struct_size;
    // Bytes of the file.
    uint64_t file_bytes;
    // Number of weights.
    uint64_t n_weights;
    // Bytes of weights that computing one token reads.
    uint64_t bytes_per_token;
    // Longest context that the model was made for, in tokens.
    uint32_t context_length;
    // Tokens of the vocabulary.
    uint32_t vocab_size;
    // Values of an embedding.
    uint32_t embedding_length;
    // Layers of the decoder.
    uint32_t n_layers;
    // Layers of the vision tower.
    uint32_t n_vision_layers;
    // Longest side of a picture in pixels, after which it is scaled down.
    uint32_t image_size;
    // Side of a patch in pixels.
    uint32_t patch_size;
    // Threads that a session uses unless told otherwise.
    uint32_t default_threads;
    // PIXTRAL_LOAD_MODE_MMAP or PIXTRAL_LOAD_MODE_COPY, whichever it came to.
    uint32_t load_mode;
    // 0.
    uint32_t reserved;
} pixtral_model_info;

// How a picture is prepared. Fill it with pixtral_image_options_init, then change what you want.
typedef struct {
    // sizeof(pixtral_image_options).
    size_t struct_size;
    // Most tokens that the picture may take, for which it is scaled down further; 0, the default, takes
    // what the model was made for.
    uint32_t max_tokens;
    // 1 turns the picture as its EXIF data says; 0, the default, does not, as Mistral's own code.
    uint32_t exif_rotate;
} pixtral_image_options;

// What a picture became. Set `struct_size` before pixtral_image_get_info.
typedef struct {
    // sizeof(pixtral_image_info).
    size_t struct_size;
    // Pixels from left to right, after scaling.
    uint32_t width;
    // Pixels from top to bottom, after scaling.
    uint32_t height;
    // Patches from left to right.
    uint32_t n_columns;
    // Patches from top to bottom.
    uint32_t n_rows;
    // Tokens that the picture takes in a prompt.
    uint32_t n_tokens;
    // 0.
    uint32_t reserved;
} pixtral_image_info;

// A text in a list: UTF-8 of `len` bytes, or up to the first NUL if `len` is PIXTRAL_NUL_TERMINATED.
typedef struct {
    // The bytes.
    const char *data;
    // Their number.
    size_t len;
} pixtral_str;

// How a session is set up. Fill it with pixtral_session_options_init, then change what you want. Texts
// and lists are read during the call only.
typedef struct {
    // sizeof(pixtral_session_options).
    size_t struct_size;
    // Longest conversation in tokens; 0 for 8192 or, if that is less, what the model allows.
    size_t n_ctx;
    // Most tokens computed as one batch; 0 for 512. Answers do not depend on it.
    size_t n_ubatch;
    // Threads to compute with; 0 for what suits the model.
    size_t n_threads;
    // A pixtral_kv_type.
    uint32_t kv_type;
    // How many decoder layers leave the CPU: -1, the default, for as many as fit on the devices, after the
    // vision tower and the output.
    int32_t gpu_layers;
    // Most bytes of pictures' embeddings kept in memory.
    uint64_t image_cache_bytes;
    // Folder that keeps pictures' embeddings for later runs, shared by any number of processes; NULL, the
    // default, for none. UTF-8.
    const char *image_cache_dir;
    // Bytes of image_cache_dir, or PIXTRAL_NUL_TERMINATED, the default.
    size_t image_cache_dir_len;
    // Most bytes in that folder.
    uint64_t image_cache_dir_bytes;
    // Devices beside the CPU, the preferred one first: names as pixtral_devices_json has them,
    // "rpc:HOST:PORT" for a worker on another machine, "cpu" for none; "NAME=SIZE" limits the memory, as
    // "cuda0=6GiB". NULL, the default, takes all graphics processors of this machine.
    const pixtral_str *devices;
    // Their number; 0 by default.
    size_t n_devices;
    // In which proportion the devices share the layers, a number for each; NULL, the default, fills one
    // device after the other.
    const double *tensor_split;
    // Their number; 0 by default.
    size_t n_tensor_split;
    // Device for the vision tower, which may be "cpu"; NULL, the default, for the first with room for it
    // that is not on another machine. NUL-terminated.
    const char *vision_device;
    // Is told of PLACING and NOTE while a session is made, and may stop it; NULL for nobody.
    pixtral_event_callback callback;
    // What the callback is given.
    void *user_data;
} pixtral_session_options;

// What reading a conversation would take. Set `struct_size` before pixtral_session_estimate.
typedef struct {
    // sizeof(pixtral_estimate).
    size_t struct_size;
    // Tokens known from before, which cost nothing.
    size_t n_known_tokens;
    // Tokens to be read.
    size_t n_tokens;
    // How many of them are pictures'.
    size_t n_image_tokens;
    // Pictures that have to pass through the vision tower.
    size_t n_images_to_encode;
    // Expected seconds in the vision tower.
    double encode_seconds;
    // Expected seconds in reading the prompt.
    double prefill_seconds;
} pixtral_estimate;

// How an answer is generated. Fill it with pixtral_generate_options_init, then change what you want. The
// defaults take the most likely token each time.
typedef struct {
    // sizeof(pixtral_generate_options).
    size_t struct_size;
    // Most tokens of the answer; 0, the default, goes on until the model ends it or the context is full.
    size_t max_tokens;
    // Divides the logits; 0, the default, takes the most likely token each time.
    float temperature;
    // Keeps the fewest most likely tokens whose probabilities add up to this; 1, the default, keeps all.
    float top_p;
    // Keeps tokens at least this fraction as likely as the most likely one; 0, the default, keeps all.
    float min_p;
    // Makes tokens among the last repeat_last_n of the answer less likely; 1, the default, is off.
    float repeat_penalty;
    // Keeps only this many most likely tokens; 0, the default, keeps all.
    size_t top_k;
    // How far back the repeat penalty looks; 64 by default.
    size_t repeat_last_n;
    // Start of the random sequence, if has_seed is 1.
    uint64_t seed;
    // 0, the default, takes the clock in the place of seed.
    uint32_t has_seed;
    // 1 goes on when the model ends its answer: for measuring. 0 by default.
    uint32_t ignore_eos;
    // A pixtral_speculation.
    uint32_t speculation;
    // A pixtral_constraint: what constraint describes; PIXTRAL_CONSTRAINT_NONE by default.
    uint32_t constraint_kind;
    // What the answer may be: a JSON schema, a regular expression or a grammar; read during the call
    // only. Holds for what is generated, not for a beginning that is continued. An answer that does not
    // end with PIXTRAL_FINISH_END_OF_TEXT is cut short.
    const char *constraint;
    // Bytes of constraint, or PIXTRAL_NUL_TERMINATED, the default.
    size_t constraint_len;
    // Texts that end the answer, of which they are no part; read during the call only.
    const pixtral_str *stop;
    // Their number; 0 by default.
    size_t n_stop;
    // Taken from the logit of a token for each time that the answer has it already; 0, the default, is
    // off.
    float frequency_penalty;
    // Taken from the logit of a token that the answer has already; 0, the default, is off.
    float presence_penalty;
} pixtral_generate_options;

// An answer and what it took. Set `struct_size` before passing it; it may be in any state else.
typedef struct {
    // sizeof(pixtral_answer).
    size_t struct_size;
    // The text: NUL-terminated UTF-8 that belongs to the session and is valid until its next answer is
    // begun or it is freed.
    const char *text;
    // Bytes of text, the final NUL not counted.
    size_t text_len;
    // The ids of the answer's tokens, valid as long as text.
    const uint32_t *tokens;
    // Their number.
    size_t n_tokens;
    // Tokens of the prompt.
    size_t n_prompt_tokens;
    // How many of them were known from before and not computed again.
    size_t n_reused_tokens;
    // Pictures of the prompt.
    size_t n_images;
    // How many of them went through the vision tower.
    size_t n_encoded_images;
    // Tokens that were computed as drafts.
    size_t n_drafted_tokens;
    // How many of them became part of the answer.
    size_t n_accepted_tokens;
    // Tokens that the constraint left no choice about.
    size_t n_forced_tokens;
    // Seconds in the vision tower.
    double encode_seconds;
    // Seconds in reading the prompt.
    double prefill_seconds;
    // Seconds from the first token of the answer to the last.
    double decode_seconds;
    // A pixtral_finish.
    int32_t finish;
    // 1 if the answer calls tools: text is then a JSON list of objects with the fields name and
    // arguments, and it is not added to the messages.
    uint32_t calls_tools;
} pixtral_answer;

// How a checkpoint is converted. Fill it with pixtral_quantize_options_init, then change what you want.
// Texts are read during the call only.
typedef struct {
    // sizeof(pixtral_quantize_options).
    size_t struct_size;
    // Type of the weights; NULL, the default, for "q4_k". Of f32, bf16, f16, q8_0, q6_k, q5_k, q5_0, q4_k,
    // q4_0, iq4_nl, iq4_xs, q3_k, q2_k; those below q8_0 are mixtures, which keep sensitive tensors at
    // more bits. NUL-terminated.
    const char *weight_type;
    // Type of the vision tower and the projector; NULL, the default, for what suits weight_type.
    // NUL-terminated.
    const char *vision_type;
    // Exceptions, "REGEX=TYPE", for tensors whose names match; later ones win.
    const pixtral_str *tensor_types;
    // Their number; 0 by default.
    size_t n_tensor_types;
    // Threads that quantise; 0, the default, for one per processor.
    size_t n_threads;
    // 1 replaces the file if it exists; 0 by default.
    uint32_t overwrite;
    // 1 begins anew where an interrupted conversion could be resumed; 0 by default.
    uint32_t no_resume;
} pixtral_quantize_options;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// A code's meaning in a few words of English, such as "context full", for any number. Lives for
// ever. Any thread. The sentence about a particular failure is pixtral_last_error's.
const char *pixtral_status_name(int32_t status);

// The sentence that explains this thread's last failed call: names the file, field or tensor, what was
// expected, and what to do. Never NULL; empty before the first failure. NUL-terminated UTF-8 that
// belongs to the library and is valid until another call of this thread fails.
const char *pixtral_last_error(void);

// Frees a text that the library gave away, as those functions say that do so. NULL is nothing. Any
// thread.
void pixtral_string_free(char *text);

// The library's version, such as "0.1.0". Lives for ever. Any thread.
const char *pixtral_version(void);

// Whether this library has the named part: "constraints", "embeddings", "estimates", "load-modes",
// "placement", "quantize", "session-files", "speculation", "tools", "verify". False for names it does not
// know, so that a program can ask an older library for what came later. Any thread.
bool pixtral_has_feature(const char *name,
                         size_t name_len);

// Which build of the CPU kernels is used, such as "avx512": the best that the processor runs, unless
// the environment variable PIXTRAL_CPU named another before the first call. `*name` lives for ever.
// Any thread.
pixtral_status pixtral_cpu_variant(const char **name);

// Makes `callback` hear the log of this copy of the library, in the place of the one before; NULL for
// none, as at first. The library never writes to standard output or standard error. A message that
// another thread is delivering at this moment may still reach the callback before. Any thread.
pixtral_status pixtral_set_log_callback(pixtral_log_callback callback,
                                        void *user_data);

// Fills `options`, of which `size` bytes are there (pass sizeof *options), with the defaults.
pixtral_status pixtral_model_options_init(pixtral_model_options *options, size_t size);

// Opens the GGUF file `path`, as pixtral_quantize writes it, and puts the handle into `*model`, which is
// NULL after an error. It belongs to the caller, who frees it with pixtral_model_free.
//
// This takes milliseconds unless verifying or a copy was asked for: the file is mapped, not read. A mapped
// file must not be truncated while the model is used; replacing it by a rename is safe. `options` may be
// NULL. Any thread.
pixtral_status pixtral_model_open(const char *path,
                                  size_t path_len,
                                  const pixtral_model_options *options,
                                  pixtral_model **model);

// Frees a model. What was made from it (pictures, sessions) stays usable. NULL is nothing. Any thread.
void pixtral_model_free(pixtral_model *model);

// Fills `*info`, whose struct_size the caller has set. Any thread.
pixtral_status pixtral_model_get_info(const pixtral_model *model, pixtral_model_info *info);

// Points `*key` and `*key_len` at the name of entry `index` of the file's metadata, counted from 0;
// PIXTRAL_STATUS_NOT_FOUND after the last. It is not NUL-terminated, belongs to the model, and lives as
// long as that. Any thread.
pixtral_status pixtral_model_metadata_key(const pixtral_model *model,
                                          size_t index,
                                          const char **key,
                                          size_t *key_len);

// Gives the value of the metadata called `key` as JSON: a number, true or false, a string, or a list of
// those. `*json` is NUL-terminated and belongs to the caller, who frees it with pixtral_string_free;
// NULL after an error, which is PIXTRAL_STATUS_NOT_FOUND if there is no such key. Any thread.
pixtral_status pixtral_model_metadata_json(const pixtral_model *model,
                                           const char *key,
                                           size_t key_len,
                                           char **json);

// Fills `options`, of which `size` bytes are there (pass sizeof *options), with the defaults.
pixtral_status pixtral_image_options_init(pixtral_image_options *options, size_t size);

// Decodes and prepares the PNG, JPEG, WebP, GIF, BMP or TIFF file `path` for `model`. `*image` is NULL
// after an error; else it belongs to the caller, who frees it with pixtral_image_free, and does not need
// the model any more. `options` may be NULL. Any thread.
pixtral_status pixtral_image_from_file(const pixtral_model *model,
                                       const char *path,
                                       size_t path_len,
                                       const pixtral_image_options *options,
                                       pixtral_image **image);

// As pixtral_image_from_file, from the `len` bytes of such a file in memory, which are not needed
// afterwards. Any thread.
pixtral_status pixtral_image_from_memory(const pixtral_model *model,
                                         const uint8_t *data,
                                         size_t len,
                                         const pixtral_image_options *options,
                                         pixtral_image **image);

// As pixtral_image_from_file, from pixels: `len` is 3 * width * height bytes, row by row from the top,
// each pixel as red, green, blue. They are not needed afterwards. Any thread.
pixtral_status pixtral_image_from_rgb(const pixtral_model *model,
                                      uint32_t width,
                                      uint32_t height,
                                      const uint8_t *pixels,
                                      size_t len,
                                      const pixtral_image_options *options,
                                      pixtral_image **image);

// Fills `*info`, whose struct_size the caller has set. Any thread.
pixtral_status pixtral_image_get_info(const pixtral_image *image, pixtral_image_info *info);

// Frees a picture. Messages that it was added to keep it. NULL is nothing. Any thread.
void pixtral_image_free(pixtral_image *image);

// Makes an empty message of `role`, a pixtral_role. `*message` is NULL after an error; else it belongs to
// the caller, who frees it with pixtral_message_free, also after adding it to a session.
pixtral_status pixtral_message_new(uint32_t role,
                                   pixtral_message **message);

// Adds a copy of `text`. Parts are meant in the order in which they are added; texts that meet are joined
// with an empty line between them.
pixtral_status pixtral_message_add_text(pixtral_message *message,
                                        const char *text,
                                        size_t text_len);

// Adds a picture, which stays the caller's and may be added to other messages. Users' messages only.
pixtral_status pixtral_message_add_image(pixtral_message *message,
                                         const pixtral_image *image);

// Adds a call that the model made of the tool `name`: `arguments` is JSON text, `id` 9 letters or digits,
// to which the tool's result refers. Messages of the assistant only.
pixtral_status pixtral_message_add_tool_call(pixtral_message *message,
                                             const char *id,
                                             size_t id_len,
                                             const char *name,
                                             size_t name_len,
                                             const char *arguments,
                                             size_t arguments_len);

// Says which call a tool's message answers. Messages of tools only, which need it.
pixtral_status pixtral_message_set_call_id(pixtral_message *message, const char *id, size_t id_len);

// Says that the model is to continue this message, which must then be the last. Messages of the assistant
// only.
pixtral_status pixtral_message_set_prefix(pixtral_message *message);

// Frees a message. NULL is nothing.
void pixtral_message_free(pixtral_message *message);

// Fills `options`, of which `size` bytes are there (pass sizeof *options), with the defaults.
pixtral_status pixtral_session_options_init(pixtral_session_options *options, size_t size);

// Begins a conversation, for which memory is taken and weights are moved to devices. `options` may be
// NULL. `*session` is NULL after an error; else it belongs to the caller, who frees it with
// pixtral_session_free; the model can be freed before. Any thread.
pixtral_status pixtral_session_new(const pixtral_model *model,
                                   const pixtral_session_options *options,
                                   pixtral_session **session);

// Frees a session, on which no call may be running, and all texts that it lent. NULL is nothing.
void pixtral_session_free(pixtral_session *session);

// Stops what runs on the session, as soon as the running operation ends: reading a prompt gives
// PIXTRAL_STATUS_CANCELLED, an answer ends with PIXTRAL_FINISH_CANCELLED. The session stays usable.
//
// Who cancels need not know whether the call has begun: if nothing runs, the next call that computes is
// stopped at its beginning. A call that ends, for whatever reason, takes the cancel with it; an answer
// that is taken piece by piece ends with the pixtral_session_next that says so, or with
// pixtral_session_end. Any thread, any callback; the session must not be freed meanwhile.
pixtral_status pixtral_session_cancel(const pixtral_session *session);

// Takes back a cancel that may have come too late, when what it was meant for had already ended, so that
// it does not stop the next call. Any thread; while a call runs, that may escape a cancel by this.
pixtral_status pixtral_session_reset_cancel(const pixtral_session *session);

// Adds a message of one text by `role`, a pixtral_role.
pixtral_status pixtral_session_add_text(pixtral_session *session,
                                        uint32_t role,
                                        const char *text,
                                        size_t text_len);

// Adds a copy of a message; pictures are shared, not copied. Whether messages follow each other sensibly
// is judged when they are read or counted.
pixtral_status pixtral_session_add_message(pixtral_session *session,
                                           const pixtral_message *message);

// Puts the number of messages into `*n_messages`.
pixtral_status pixtral_session_message_count(const pixtral_session *session, size_t *n_messages);

// Removes all messages but the first `n_messages`, such as a question that was not answered, or all.
// What the model has read is kept, and used again as far as the next messages begin in the same way:
// to begin another conversation, or to ask the last question anew, nothing else is needed.
pixtral_status pixtral_session_truncate(pixtral_session *session,
                                        size_t n_messages);

// Makes `json`, a list of tools as in OpenAI's requests, the tools that the model may call, in the place of
// those before; "[]" for none.
pixtral_status pixtral_session_set_tools(pixtral_session *session,
                                         const char *json,
                                         size_t json_len);

// Counts the tokens of the prompt that would be read if `message` were added, without adding it; NULL
// counts the messages as they are.
pixtral_status pixtral_session_count_tokens(const pixtral_session *session,
                                            const pixtral_message *message,
                                            size_t *n_tokens);

// Computes what the decoder sees of a picture, unless the session knows it: embedding_length values (see
// pixtral_model_info) for each patch, row by row. `n_values` is n_rows * n_columns (see
// pixtral_image_info) times that. `callback` is told of ENCODING and may be NULL.
pixtral_status pixtral_session_embed_image(pixtral_session *session,
                                           const pixtral_image *image,
                                           pixtral_event_callback callback,
                                           void *user_data,
                                           float *values,
                                           size_t n_values);

// Writes the conversation to the file `path`, which is replaced in one step: messages with their pictures,
// tools, and what the model has read, so that a later run goes on without reading again. Large: 160 KiB a
// token for Pixtral-12B. Only its owner can read the file.
pixtral_status pixtral_session_save(const pixtral_session *session,
                                    const char *path,
                                    size_t path_len);

// Makes the conversation be the one in the file `path`, as pixtral_session_save wrote it with the same
// model and kv_type. After an error the messages are what they were.
pixtral_status pixtral_session_restore(pixtral_session *session,
                                       const char *path,
                                       size_t path_len);

// Lists what a model can be placed on, this machine's devices and those of `workers`, each an address
// HOST:PORT, as a JSON list of objects with the fields name, kind, description, free_bytes and
// total_bytes. `workers` may be NULL if there are none. `*json` is NUL-terminated and belongs to the
// caller, who frees it with pixtral_string_free; NULL after an error, which is PIXTRAL_STATUS_DEVICE_LOST
// if a worker does not answer. Any thread.
pixtral_status pixtral_devices_json(const pixtral_str *workers,
                                    size_t n_workers,
                                    char **json);

// Says where the parts of `model` would go in a session that is set up by `options`, which may be NULL.
// Nothing is allocated or moved. `*json` is an object with the fields devices (each with its name,
// budget_bytes, layers, weights_bytes, cache_bytes, work_bytes), vision, embedding, layers and output
// (names of devices) and notes; NUL-terminated, it belongs to the caller, who frees it with
// pixtral_string_free; NULL after an error. Any thread.
pixtral_status pixtral_model_plan_json(const pixtral_model *model,
                                       const pixtral_session_options *options,
                                       char **json);

// Says where the parts of the session's model are, as pixtral_model_plan_json does. It changes only when
// a device is lost.
pixtral_status pixtral_session_plan_json(const pixtral_session *session,
                                         char **json);

// Estimates what pixtral_session_generate would take before its first token if `message` were added,
// without adding it; NULL for the messages as they are. `estimate`, whose struct_size the caller has set,
// is filled. The first call measures this machine for about a second, unless an earlier run has left
// figures in image_cache_dir.
//
// PIXTRAL_STATUS_INVALID_ARGUMENT if parts of the model are on other devices, which are not measured.
pixtral_status pixtral_session_estimate(pixtral_session *session,
                                        const pixtral_message *message,
                                        pixtral_estimate *estimate);

// Fills `options`, of which `size` bytes are there (pass sizeof *options), with the defaults.
pixtral_status pixtral_generate_options_init(pixtral_generate_options *options, size_t size);

// Reads the messages, as far as the model does not know them yet, and generates the answer, which becomes
// the assistant's next message unless it is empty or calls tools. After an error the messages are as
// before, and what was read is not read again.
//
// `callback` is told of PLACING, ENCODING, READING, TEXT and NOTE; `options`, `callback` and `answer` may be NULL. Stopped
// while reading, this is PIXTRAL_STATUS_CANCELLED; later the answer is what there is of it, and `finish`
// says so.
pixtral_status pixtral_session_generate(pixtral_session *session,
                                        const pixtral_generate_options *options,
                                        pixtral_event_callback callback,
                                        void *user_data,
                                        pixtral_answer *answer);

// Reads the messages as pixtral_session_generate does, and begins an answer that pixtral_session_next gives
// piece by piece. An answer that was begun before and not ended is forgotten.
pixtral_status pixtral_session_start(pixtral_session *session,
                                     const pixtral_generate_options *options,
                                     pixtral_event_callback callback,
                                     void *user_data);

// Computes until there is more of the answer, and points `*text` at it: NUL-terminated UTF-8 of `*text_len`
// bytes, never empty, which belongs to the session and is valid until the next call on it. At the end
// `*text` is NULL, and `*text_len` 0; call pixtral_session_end then, or earlier to leave it at that.
pixtral_status pixtral_session_next(pixtral_session *session,
                                    const char **text,
                                    size_t *text_len);

// Ends the answer that pixtral_session_start began, wherever it is; it becomes the assistant's next message
// unless it is empty or calls tools. `answer` may be NULL.
pixtral_status pixtral_session_end(pixtral_session *session,
                                   pixtral_answer *answer);

// Fills `options`, of which `size` bytes are there (pass sizeof *options), with the defaults.
pixtral_status pixtral_quantize_options_init(pixtral_quantize_options *options, size_t size);

// Converts the checkpoint in the folder `checkpoint` (Mistral's or Hugging Face's layout) to the GGUF file
// `output`, streaming: little memory is needed. The file gets its name when it is complete; until then it
// is `output`.partial, and stays so after an error or when `callback` stops the call, to be resumed by the
// same call.
//
// `callback` is told of RESUMING and CONVERTING. `options`, `callback` and `report` may be NULL. `*report`
// is what was done as a JSON object (sizes, bits per weight, errors by group), NUL-terminated; it belongs
// to the caller, who frees it with pixtral_string_free; NULL after an error. Any thread.
pixtral_status pixtral_quantize(const char *checkpoint,
                                size_t checkpoint_len,
                                const char *output,
                                size_t output_len,
                                const pixtral_quantize_options *options,
                                pixtral_event_callback callback,
                                void *user_data,
                                char **report);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PIXTRAL_H */
