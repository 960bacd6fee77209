/*
 * overhead MODEL [REPETITIONS]: what the interface costs: nanoseconds of a call that does nothing much,
 * and microseconds of a token taken piece by piece and told to a callback. Minima: a machine that
 * others share only ever adds.
 */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <time.h>

enum { N_CALLS = 100000, N_TOKENS = 200 };

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void keep_least(double *least, double value) {
    if (*least == 0.0 || value < *least) {
        *least = value;
    }
}

static int32_t ignore(const pixtral_event *event, void *user_data) {
    (void)event;
    (void)user_data;
    return 0;
}

static double calls(pixtral_session *session) {
    double start = seconds();
    size_t n;
    for (int i = 0; i < N_CALLS; i++) {
        OK(pixtral_session_message_count(session, &n));
    }
    return (seconds() - start) / N_CALLS;
}

/* Seconds of a token, by `next` or by a callback. */
static double tokens(pixtral_session *session, int by_callback) {
    pixtral_generate_options options;
    OK(pixtral_generate_options_init(&options, sizeof options));
    options.max_tokens = N_TOKENS;
    options.ignore_eos = 1;
    options.speculation = PIXTRAL_SPECULATION_OFF;
    OK(pixtral_session_truncate(session, 1));
    pixtral_answer answer = {.struct_size = sizeof answer};
    if (by_callback) {
        OK(pixtral_session_generate(session, &options, ignore, NULL, &answer));
    } else {
        const char *text = "";
        size_t len;
        OK(pixtral_session_start(session, &options, NULL, NULL));
        while (text != NULL) {
            OK(pixtral_session_next(session, &text, &len));
        }
        OK(pixtral_session_end(session, &answer));
    }
    CHECK(answer.n_tokens == N_TOKENS);
    return answer.decode_seconds / N_TOKENS;
}

int main(int argc, char **argv) {
    CHECK(argc == 2 || argc == 3);
    int repetitions = argc == 3 ? atoi(argv[2]) : 50;
    pixtral_model *model = open_model(argv[1]);
    pixtral_session *session = new_session(model);
    OK(pixtral_session_add_text(session, PIXTRAL_ROLE_USER, "Hello", NUL));
    double call = 0.0, by_next = 0.0, by_callback = 0.0;
    for (int i = 0; i < repetitions; i++) {
        keep_least(&call, calls(session));
        keep_least(&by_next, tokens(session, 0));
        keep_least(&by_callback, tokens(session, 1));
    }
    printf("a call: %.1f ns\n", 1e9 * call);
    printf("a token by next: %.2f us\n", 1e6 * by_next);
    printf("a token by callback: %.2f us\n", 1e6 * by_callback);
    pixtral_session_free(session);
    pixtral_model_free(model);
    return 0;
}
