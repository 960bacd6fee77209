/* use MODEL IMAGE SCRATCH-FILE: every function does what it says. */
#define _DEFAULT_SOURCE
#include "check.h"

static void log_message(pixtral_log_level level, const char *message, void *user_data) {
    (void)level;
    CHECK(message != NULL && user_data != NULL);
}

static void about(void) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", PIXTRAL_VERSION_MAJOR, PIXTRAL_VERSION_MINOR,
             PIXTRAL_VERSION_PATCH);
    CHECK(strcmp(pixtral_version(), version) == 0);
    CHECK(pixtral_has_feature("quantize", NUL) && pixtral_has_feature("quantized", 8));
    CHECK(!pixtral_has_feature("time-travel", NUL) && !pixtral_has_feature(NULL, 0));
    const char *variant = NULL;
    OK(pixtral_cpu_variant(&variant));
    CHECK(strlen(variant) > 0);
    static int marker;
    OK(pixtral_set_log_callback(log_message, &marker));
    OK(pixtral_set_log_callback(NULL, NULL));
}

/* Bytes that were told of, by kind of event. */
static int32_t count(const pixtral_event *event, void *user_data) {
    CHECK(event->struct_size == sizeof *event);
    CHECK(event->kind <= PIXTRAL_EVENT_KIND_LOADING && event->done <= event->total);
    ((uint64_t *)user_data)[event->kind] = event->done;
    return 0;
}

static int32_t stop(const pixtral_event *event, void *user_data) {
    (void)event;
    (void)user_data;
    return 1;
}

/* A file that is verified, then copied into memory; either can be stopped. */
static void opening(const char *path) {
    uint64_t done[2] = {0, 0};
    pixtral_model_options options;
    OK(pixtral_model_options_init(&options, sizeof options));
    CHECK(options.load_mode == PIXTRAL_LOAD_MODE_MMAP);
    options.verify = 1;
    options.load_mode = PIXTRAL_LOAD_MODE_COPY;
    options.callback = count;
    options.user_data = done;
    pixtral_model *model = NULL;
    OK(pixtral_model_open(path, NUL, &options, &model));
    pixtral_model_info info = {.struct_size = sizeof info};
    OK(pixtral_model_get_info(model, &info));
    CHECK(done[0] > 1000000 && done[1] == info.file_bytes);
    CHECK(info.load_mode == PIXTRAL_LOAD_MODE_COPY);
    pixtral_model_free(model);
    options.callback = stop;
    for (int verify = 0; verify < 2; verify++) {
        options.verify = verify;
        CHECK(pixtral_model_open(path, NUL, &options, &model) == PIXTRAL_STATUS_CANCELLED);
        CHECK(model == NULL);
    }
}

/* Where the parts of a model go, and what reading will take. */
static void planning(const pixtral_model *model, const pixtral_image *image) {
    char *json = NULL, *plan = NULL;
    OK(pixtral_devices_json(NULL, 0, &json));
    CHECK(strstr(json, "\"kind\":\"cpu\"") != NULL);
    pixtral_string_free(json);
    const pixtral_str nowhere = {"127.0.0.1:1", NUL}, cpu = {"cpu", NUL};
    CHECK(pixtral_devices_json(&nowhere, 1, &json) == PIXTRAL_STATUS_DEVICE_LOST && json == NULL);

    pixtral_session_options options;
    OK(pixtral_session_options_init(&options, sizeof options));
    options.n_ctx = 1024;
    options.n_threads = 1;
    options.devices = &cpu;
    options.n_devices = 1;
    options.vision_device = "CPU";
    OK(pixtral_model_plan_json(model, &options, &plan));
    CHECK(strstr(plan, "\"vision\":\"cpu\"") != NULL && strstr(plan, "work_bytes") != NULL);
    pixtral_session *session = NULL;
    OK(pixtral_session_new(model, &options, &session));
    OK(pixtral_session_plan_json(session, &json));
    CHECK(strstr(json, "\"output\":\"cpu\"") != NULL);
    pixtral_string_free(json);
    pixtral_string_free(plan);

    pixtral_estimate before = {.struct_size = sizeof before}, after = before;
    add_question(session, image, "Describe the image.");
    OK(pixtral_session_estimate(session, NULL, &before));
    CHECK(before.n_known_tokens == 0 && before.n_images_to_encode == 1);
    CHECK(before.n_image_tokens > 0 && before.n_image_tokens < before.n_tokens);
    CHECK(before.encode_seconds > 0.0 && before.prefill_seconds > 0.0);
    free(generate(session));
    pixtral_message *message = NULL;
    OK(pixtral_message_new(PIXTRAL_ROLE_USER, &message));
    OK(pixtral_message_add_text(message, "How many shapes are there?", NUL));
    OK(pixtral_session_estimate(session, message, &after));
    CHECK(after.n_known_tokens >= before.n_tokens && after.n_images_to_encode == 0);
    CHECK(after.encode_seconds == 0.0 && after.prefill_seconds > 0.0);
    pixtral_message_free(message);
    pixtral_session_free(session);
}

/* A cancel that comes first stops the next call; one that comes too late can be taken back. */
static void cancelling(const pixtral_model *model, const pixtral_image *image) {
    pixtral_session *session = new_session(model);
    add_question(session, image, "Describe the image.");
    OK(pixtral_session_cancel(session));
    CHECK(pixtral_session_generate(session, NULL, NULL, NULL, NULL) == PIXTRAL_STATUS_CANCELLED);
    OK(pixtral_session_cancel(session));
    CHECK(pixtral_session_start(session, NULL, NULL, NULL) == PIXTRAL_STATUS_CANCELLED);
    OK(pixtral_session_cancel(session));
    OK(pixtral_session_reset_cancel(session));
    const char *text;
    size_t len;
    OK(pixtral_session_start(session, NULL, NULL, NULL));
    OK(pixtral_session_next(session, &text, &len));
    CHECK(text != NULL);
    OK(pixtral_session_cancel(session));
    pixtral_answer answer = {.struct_size = sizeof answer};
    OK(pixtral_session_end(session, &answer));
    CHECK(answer.finish == PIXTRAL_FINISH_CANCELLED);
    /* The cancel went with that answer. */
    OK(pixtral_session_truncate(session, 1));
    free(generate(session));
    pixtral_session_free(session);
}

static void metadata(const pixtral_model *model) {
    const char *key;
    size_t len, n = 0;
    int found = 0;
    while (pixtral_model_metadata_key(model, n, &key, &len) == PIXTRAL_STATUS_OK) {
        found += len == 20 && memcmp(key, "general.architecture", len) == 0;
        char *json = NULL;
        OK(pixtral_model_metadata_json(model, key, len, &json));
        CHECK(strlen(json) > 0);
        pixtral_string_free(json);
        n++;
    }
    CHECK(n > 10 && found == 1);
    char *json = NULL;
    OK(pixtral_model_metadata_json(model, "general.architecture", NUL, &json));
    CHECK(strcmp(json, "\"pixtral\"") == 0);
    pixtral_string_free(json);
    CHECK(pixtral_model_metadata_json(model, "nothing", NUL, &json) == PIXTRAL_STATUS_NOT_FOUND);
    CHECK(json == NULL);
}

/* The file as bytes; the caller frees them. */
static uint8_t *content(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    *len = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*len);
    CHECK(bytes != NULL && fread(bytes, 1, *len, file) == *len);
    fclose(file);
    return bytes;
}

static void pictures(const pixtral_model *model, const char *path) {
    pixtral_image *file = open_image(model, path), *memory = NULL;
    size_t len;
    uint8_t *bytes = content(path, &len);
    OK(pixtral_image_from_memory(model, bytes, len, NULL, &memory));
    free(bytes);
    pixtral_image_info a = {.struct_size = sizeof a}, b = {.struct_size = sizeof b};
    OK(pixtral_image_get_info(file, &a));
    OK(pixtral_image_get_info(memory, &b));
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    CHECK(a.n_tokens == a.n_rows * (a.n_columns + 1) && a.width == 16 * a.n_columns);

    pixtral_image_options options;
    OK(pixtral_image_options_init(&options, sizeof options));
    options.max_tokens = 20;
    pixtral_image *small = NULL;
    OK(pixtral_image_from_file(model, path, NUL, &options, &small));
    OK(pixtral_image_get_info(small, &b));
    CHECK(b.n_tokens <= 20 && b.n_tokens < a.n_tokens);

    /* The same pixels have the same embedding, which the second time is known. */
    pixtral_session *session = new_session(model);
    size_t n = (size_t)a.n_rows * a.n_columns * 256;
    float *first = calloc(n, sizeof *first), *second = calloc(n, sizeof *second);
    CHECK(first != NULL && second != NULL);
    CHECK(pixtral_session_embed_image(session, file, stop, NULL, first, n) ==
          PIXTRAL_STATUS_CANCELLED);
    OK(pixtral_session_embed_image(session, file, NULL, NULL, first, n));
    OK(pixtral_session_embed_image(session, memory, stop, NULL, second, n));
    CHECK(memcmp(first, second, n * sizeof *first) == 0 && first[0] != 0.0f);
    CHECK(pixtral_session_embed_image(session, file, NULL, NULL, first, n - 1) ==
          PIXTRAL_STATUS_INVALID_ARGUMENT);
    free(first);
    free(second);
    pixtral_session_free(session);
    pixtral_image_free(small);
    pixtral_image_free(file);
    pixtral_image_free(memory);
}

static int32_t until_the_third_piece(const pixtral_event *event, void *user_data) {
    int *pieces = user_data;
    *pieces += event->kind == PIXTRAL_EVENT_KIND_TEXT;
    return *pieces == 3;
}

static void answers(const pixtral_model *model, const pixtral_image *image, const char *file) {
    pixtral_session *session = new_session(model);
    size_t before = 0, after = 0, n = 0;
    add_question(session, image, "Describe the image.");
    OK(pixtral_session_count_tokens(session, NULL, &before));

    int pieces = 0;
    pixtral_answer answer = {.struct_size = sizeof answer};
    OK(pixtral_session_generate(session, NULL, until_the_third_piece, &pieces, &answer));
    CHECK(answer.finish == PIXTRAL_FINISH_CANCELLED && answer.n_prompt_tokens == before);
    CHECK(answer.n_encoded_images == 1 && answer.encode_seconds > 0.0);
    OK(pixtral_session_message_count(session, &n));
    CHECK(n == 2);
    OK(pixtral_session_truncate(session, 1));

    char *whole = generate(session);
    OK(pixtral_session_truncate(session, 1));

    /* In pieces, and with a stop text in the middle. */
    char joined[1024] = "";
    const char *text;
    size_t len;
    OK(pixtral_session_start(session, NULL, NULL, NULL));
    for (;;) {
        OK(pixtral_session_next(session, &text, &len));
        if (text == NULL) {
            break;
        }
        CHECK(len > 0 && strlen(text) == len && strlen(joined) + len < sizeof joined);
        strcat(joined, text);
    }
    OK(pixtral_session_end(session, &answer));
    CHECK(strcmp(joined, whole) == 0 && strcmp(answer.text, whole) == 0);
    CHECK(answer.n_reused_tokens == before - 1 && answer.n_encoded_images == 0);
    OK(pixtral_session_truncate(session, 1));
    pixtral_generate_options options;
    OK(pixtral_generate_options_init(&options, sizeof options));
    const pixtral_str stops[] = {{"never said", NUL}, {whole + 10, 5}};
    options.stop = stops;
    options.n_stop = 2;
    OK(pixtral_session_generate(session, &options, NULL, NULL, &answer));
    CHECK(answer.finish == PIXTRAL_FINISH_STOP_TEXT && answer.text_len <= 10 + 5);
    CHECK(memcmp(answer.text, whole, answer.text_len) == 0);

    /* Constraints hold, whatever the model would rather say. */
    OK(pixtral_generate_options_init(&options, sizeof options));
    options.constraint_kind = PIXTRAL_CONSTRAINT_REGEX;
    options.constraint = "[a-c]{3}-[0-9]{2}";
    OK(pixtral_session_truncate(session, 1));
    OK(pixtral_session_generate(session, &options, NULL, NULL, &answer));
    CHECK(answer.finish == PIXTRAL_FINISH_END_OF_TEXT && answer.text_len == 6);
    CHECK(strspn(answer.text, "abc") == 3 && answer.text[3] == '-');
    options.constraint_kind = PIXTRAL_CONSTRAINT_JSON_SCHEMA;
    options.constraint = "{\"type\": \"object\", \"properties\": {\"colour\": {\"enum\": "
                         "[\"red\", \"blue\"]}}, \"required\": [\"colour\"], "
                         "\"additionalProperties\": false}";
    OK(pixtral_session_truncate(session, 1));
    OK(pixtral_session_generate(session, &options, NULL, NULL, &answer));
    CHECK(strstr(answer.text, "\"colour\"") != NULL && answer.n_forced_tokens > 0);

    /* A seed gives the same answer again. */
    char *drawn[2];
    OK(pixtral_generate_options_init(&options, sizeof options));
    options.temperature = 2.0f;
    options.has_seed = 1;
    options.seed = 42;
    options.max_tokens = 20;
    for (int i = 0; i < 2; i++) {
        OK(pixtral_session_truncate(session, 1));
        OK(pixtral_session_generate(session, &options, NULL, NULL, &answer));
        drawn[i] = strdup(answer.text);
        CHECK(answer.n_tokens <= 20);
    }
    CHECK(strcmp(drawn[0], drawn[1]) == 0 && strcmp(drawn[0], whole) != 0);
    free(drawn[0]);
    free(drawn[1]);

    /* A beginning that is to be continued. */
    OK(pixtral_session_truncate(session, 1));
    pixtral_message *message = NULL;
    OK(pixtral_message_new(PIXTRAL_ROLE_ASSISTANT, &message));
    char beginning[16];
    snprintf(beginning, sizeof beginning, "%.9s", whole);
    OK(pixtral_message_add_text(message, beginning, NUL));
    OK(pixtral_message_set_prefix(message));
    OK(pixtral_session_add_message(session, message));
    pixtral_message_free(message);
    free(generate(session));
    OK(pixtral_session_message_count(session, &n));
    CHECK(n == 2);

    /* Saved and restored, the conversation goes on where it was. */
    OK(pixtral_session_truncate(session, 1));
    char *again = generate(session);
    CHECK(strcmp(again, whole) == 0);
    OK(pixtral_session_save(session, file, NUL));
    OK(pixtral_message_new(PIXTRAL_ROLE_USER, &message));
    OK(pixtral_message_add_text(message, "How many shapes are there?", NUL));
    OK(pixtral_session_count_tokens(session, message, &after));
    CHECK(after > before);
    pixtral_session *restored = new_session(model);
    OK(pixtral_session_restore(restored, file, NUL));
    pixtral_session *both[] = {session, restored};
    char *follow[2];
    for (int i = 0; i < 2; i++) {
        OK(pixtral_session_add_message(both[i], message));
        OK(pixtral_session_generate(both[i], NULL, NULL, NULL, &answer));
        CHECK(answer.n_prompt_tokens == after && answer.n_encoded_images == 0);
        CHECK(answer.n_reused_tokens >= before);
        follow[i] = strdup(answer.text);
    }
    CHECK(strcmp(follow[0], follow[1]) == 0);
    free(follow[0]);
    free(follow[1]);
    free(again);
    free(whole);
    pixtral_message_free(message);
    pixtral_session_free(restored);
    pixtral_session_free(session);
}

static void tools(const pixtral_model *model) {
    pixtral_session *session = new_session(model);
    size_t plain = 0, with_tools = 0, answered = 0;
    OK(pixtral_session_add_text(session, PIXTRAL_ROLE_SYSTEM, "Be brief.", NUL));
    OK(pixtral_session_add_text(session, PIXTRAL_ROLE_USER, "Is it cold?", NUL));
    OK(pixtral_session_count_tokens(session, NULL, &plain));
    OK(pixtral_session_set_tools(session,
                                 "[{\"type\": \"function\", \"function\": {\"name\": \"weather\","
                                 "\"parameters\": {\"type\": \"object\", \"properties\": {}}}}]",
                                 NUL));
    OK(pixtral_session_count_tokens(session, NULL, &with_tools));
    CHECK(with_tools > plain);
    pixtral_message *call = NULL, *result = NULL;
    OK(pixtral_message_new(PIXTRAL_ROLE_ASSISTANT, &call));
    OK(pixtral_message_add_tool_call(call, "abcdefgh1", NUL, "weather", NUL, "{}", NUL));
    OK(pixtral_session_add_message(session, call));
    OK(pixtral_message_new(PIXTRAL_ROLE_TOOL, &result));
    OK(pixtral_message_add_text(result, "-4", NUL));
    OK(pixtral_message_set_call_id(result, "abcdefgh1", NUL));
    OK(pixtral_session_add_message(session, result));
    OK(pixtral_session_count_tokens(session, NULL, &answered));
    CHECK(answered > with_tools);
    pixtral_message_free(call);
    pixtral_message_free(result);
    pixtral_session_free(session);
}

int main(int argc, char **argv) {
    CHECK(argc == 4);
    about();
    opening(argv[1]);
    pixtral_model *model = open_model(argv[1]);
    metadata(model);
    pictures(model, argv[2]);
    pixtral_image *image = open_image(model, argv[2]);
    planning(model, image);
    cancelling(model, image);
    answers(model, image, argv[3]);
    tools(model);

    /* A session keeps alive what it needs. */
    pixtral_session *session = new_session(model);
    pixtral_model_free(model);
    add_question(session, image, "Describe the image.");
    pixtral_image_free(image);
    free(generate(session));
    pixtral_session_free(session);
    return 0;
}
