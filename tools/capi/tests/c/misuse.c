/* misuse MODEL: whatever a program gets wrong is a status and a sentence. */
#include "check.h"

#include <math.h>

static void null_and_text(pixtral_model *model) {
    const pixtral_status bad = PIXTRAL_STATUS_INVALID_ARGUMENT;
    pixtral_model *none = NULL;
    CHECK(strcmp(pixtral_last_error(), "") == 0);
    FAILS(pixtral_model_open(NULL, NUL, NULL, &none), bad, "path is NULL");
    FAILS(pixtral_model_open("x", NUL, NULL, NULL), bad, "is NULL");
    FAILS(pixtral_model_open("no such file", NUL, NULL, &none), PIXTRAL_STATUS_NOT_FOUND,
          "no such file: no such file or folder");
    FAILS(pixtral_model_open("caf\xe9", NUL, NULL, &none), PIXTRAL_STATUS_INVALID_UTF8, "byte 3");
    FAILS(pixtral_model_open("/", NUL, NULL, &none), PIXTRAL_STATUS_INVALID_FILE, "is a folder");
    CHECK(none == NULL);

    pixtral_image *image = (pixtral_image *)model; /* Anything: it is overwritten. */
    FAILS(pixtral_image_from_file(NULL, "x", NUL, NULL, &image), bad, "model is NULL");
    CHECK(image == NULL);
    const uint8_t bytes[12] = {'n', 'o', ' ', 'p', 'n', 'g'};
    FAILS(pixtral_image_from_memory(model, bytes, sizeof bytes, NULL, &image),
          PIXTRAL_STATUS_INVALID_IMAGE, "the picture");
    FAILS(pixtral_image_from_memory(model, NULL, 5, NULL, &image), bad, "data is NULL");
    FAILS(pixtral_image_from_rgb(model, 2, 2, bytes, 11, NULL, &image), bad, "12 bytes");
    OK(pixtral_image_from_rgb(model, 2, 2, bytes, 12, NULL, &image));

    pixtral_session *session = NULL;
    FAILS(pixtral_session_new(NULL, NULL, &session), bad, "model is NULL");
    FAILS(pixtral_session_cancel(NULL), bad, "session is NULL");
    FAILS(pixtral_session_generate(NULL, NULL, NULL, NULL, NULL), bad, "session is NULL");
    FAILS(pixtral_message_new(9, &(pixtral_message *){NULL}), bad, "role is 9");
    FAILS(pixtral_quantize(NULL, NUL, "x", NUL, NULL, NULL, NULL, NULL), bad, "checkpoint");
    FAILS(pixtral_quantize("nowhere", NUL, "x", NUL, NULL, NULL, NULL, NULL),
          PIXTRAL_STATUS_NOT_FOUND, "nowhere");

    pixtral_message *message = NULL;
    OK(pixtral_message_new(PIXTRAL_ROLE_SYSTEM, &message));
    FAILS(pixtral_message_add_image(message, image), bad, "of the system");
    FAILS(pixtral_message_add_tool_call(message, "a", 1, "f", 1, NULL, 0), bad, "of the system");
    FAILS(pixtral_message_set_call_id(message, "a", 1), bad, "of the system");
    FAILS(pixtral_message_set_prefix(message), bad, "of the system");
    pixtral_message_free(message);
    pixtral_image_free(image);

    pixtral_model_free(NULL);
    pixtral_image_free(NULL);
    pixtral_message_free(NULL);
    pixtral_session_free(NULL);
    pixtral_string_free(NULL);
}

static void sizes_and_options(pixtral_model *model) {
    const pixtral_status bad = PIXTRAL_STATUS_INVALID_ARGUMENT;
    pixtral_model_info info;
    info.struct_size = 3;
    FAILS(pixtral_model_get_info(model, &info), bad, "pixtral_model_info.struct_size is 3");
    info.struct_size = sizeof info;
    OK(pixtral_model_get_info(model, &info));
    CHECK(info.struct_size == sizeof info && info.embedding_length == 256 &&
          info.vocab_size == 2048 && info.patch_size == 16);

    /* A program of a later version: what it has more is unknown here, and must be unused. */
    struct {
        pixtral_session_options known;
        uint64_t later;
    } options;
    OK(pixtral_session_options_init(&options.known, sizeof options));
    CHECK(options.later == 0);
    options.known.n_threads = 1;
    pixtral_session *session = NULL;
    options.known.gpu_layers = -2;
    FAILS(pixtral_session_new(model, &options.known, &session), bad, "gpu_layers is -2");
    options.known.gpu_layers = -1;
    options.known.n_devices = 1;
    FAILS(pixtral_session_new(model, &options.known, &session), bad, "devices is NULL");
    const pixtral_str unknown[] = {{"gpu77", NUL}};
    options.known.devices = unknown;
    char *json = NULL;
    FAILS(pixtral_session_new(model, &options.known, &session), bad, "gpu77");
    FAILS(pixtral_model_plan_json(model, &options.known, &json), bad, "gpu77");
    CHECK(session == NULL && json == NULL);
    options.known.devices = NULL;
    options.known.n_devices = 0;
    OK(pixtral_session_new(model, &options.known, &session));
    pixtral_session_free(session);
    options.later = 1;
    FAILS(pixtral_session_new(model, &options.known, &session), bad, "update it");
    CHECK(session == NULL);

    OK(pixtral_session_options_init(&options.known, sizeof options.known));
    options.known.kv_type = 99;
    FAILS(pixtral_session_new(model, &options.known, &session), bad, "kv_type is 99");
    options.known.kv_type = PIXTRAL_KV_TYPE_Q8_0;
    options.known.n_threads = 100000;
    FAILS(pixtral_session_new(model, &options.known, &session), bad, "100000 threads");
}

static int32_t reenter(const pixtral_event *event, void *session) {
    (void)event;
    size_t n;
    FAILS(pixtral_session_message_count(session, &n), PIXTRAL_STATUS_INVALID_ARGUMENT, "in use");
    FAILS(pixtral_session_generate(session, NULL, NULL, NULL, NULL),
          PIXTRAL_STATUS_INVALID_ARGUMENT, "in use");
    return 0;
}

static void order_of_calls(pixtral_model *model) {
    const pixtral_status bad = PIXTRAL_STATUS_INVALID_ARGUMENT;
    pixtral_session *session = new_session(model);
    const char *text = "untouched";
    size_t len = 1, n = 0;
    FAILS(pixtral_session_next(session, &text, &len), bad, "no answer is under way");
    CHECK(text == NULL && len == 0);
    FAILS(pixtral_session_end(session, NULL), bad, "no answer is under way");
    FAILS(pixtral_session_generate(session, NULL, NULL, NULL, NULL),
          PIXTRAL_STATUS_INVALID_MESSAGE_STRUCTURE, "");
    FAILS(pixtral_session_count_tokens(session, NULL, &n),
          PIXTRAL_STATUS_INVALID_MESSAGE_STRUCTURE, "");
    FAILS(pixtral_session_set_tools(session, "[{]", NUL), PIXTRAL_STATUS_INVALID_REQUEST,
          "not JSON");
    FAILS(pixtral_session_set_tools(session, "{}", NUL), PIXTRAL_STATUS_INVALID_REQUEST,
          "tools: expected a list");
    FAILS(pixtral_session_restore(session, "nowhere", NUL), PIXTRAL_STATUS_NOT_FOUND, "nowhere");
    FAILS(pixtral_session_save(session, "nowhere/x", NUL), PIXTRAL_STATUS_NOT_FOUND, "nowhere/x");
    FAILS(pixtral_session_add_text(session, PIXTRAL_ROLE_USER, "\xff", 1),
          PIXTRAL_STATUS_INVALID_UTF8, "text is not UTF-8");

    OK(pixtral_session_add_text(session, PIXTRAL_ROLE_USER, "Hello", NUL));
    pixtral_generate_options options;
    OK(pixtral_generate_options_init(&options, sizeof options));
    options.temperature = -1.0f;
    FAILS(pixtral_session_start(session, &options, NULL, NULL), bad, "temperature is -1");
    options.temperature = 0.0f;
    options.presence_penalty = INFINITY;
    FAILS(pixtral_session_start(session, &options, NULL, NULL), bad, "presence_penalty is inf");
    options.presence_penalty = 0.0f;
    options.n_stop = 1;
    FAILS(pixtral_session_start(session, &options, NULL, NULL), bad, "stop is NULL");
    options.n_stop = 0;
    options.constraint_kind = PIXTRAL_CONSTRAINT_JSON_SCHEMA;
    FAILS(pixtral_session_start(session, &options, NULL, NULL), bad, "constraint is NULL");
    options.constraint = "{";
    FAILS(pixtral_session_start(session, &options, NULL, NULL), bad, "not JSON");
    options.constraint_kind = 77;
    FAILS(pixtral_session_start(session, &options, NULL, NULL), bad, "constraint_kind is 77");
    pixtral_estimate estimate = {.struct_size = 1};
    FAILS(pixtral_session_estimate(session, NULL, &estimate), bad, "pixtral_estimate.struct_size");
    pixtral_answer answer = {.struct_size = 1};
    FAILS(pixtral_session_generate(session, NULL, NULL, NULL, &answer), bad,
          "pixtral_answer.struct_size");
    OK(pixtral_session_generate(session, NULL, reenter, session, NULL));
    OK(pixtral_session_message_count(session, &n));
    CHECK(n == 2);
    pixtral_session_free(session);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    CHECK(strcmp(pixtral_status_name(PIXTRAL_STATUS_CONTEXT_FULL), "context full") == 0);
    CHECK(strcmp(pixtral_status_name(-7), "unknown status") == 0);
    pixtral_model *model = NULL;
    OK(pixtral_model_open(argv[1], strlen(argv[1]), NULL, &model));
    null_and_text(model);
    pixtral_model_options options;
    OK(pixtral_model_options_init(&options, sizeof options));
    options.load_mode = 9;
    FAILS(pixtral_model_open(argv[1], NUL, &options, &(pixtral_model *){NULL}),
          PIXTRAL_STATUS_INVALID_ARGUMENT, "load_mode is 9");
    sizes_and_options(model);
    order_of_calls(model);
    pixtral_model_free(model);
    return 0;
}
