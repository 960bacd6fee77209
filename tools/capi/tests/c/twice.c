/*
 * twice MODEL IMAGE LIBRARY OTHER-LIBRARY: two copies of the library in one process, as two plugins
 * might bring them, neither of which touches what is the process's: signals, standard output and
 * standard error, the locale.
 */
#define _GNU_SOURCE
#include <pixtral.h>

#include <dlfcn.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);          \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

/* One copy's functions, by the types in the header. */
struct copy {
    void *library;
    pixtral_model *model;
    pixtral_session *session;
    __typeof__(&pixtral_session_generate) generate;
};

#define FUNCTION(copy, name) ((__typeof__(&name))dlsym((copy)->library, #name))

static void open_copy(struct copy *copy, const char *path, char **argv) {
    copy->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(copy->library != NULL);
    CHECK(FUNCTION(copy, pixtral_model_open)(argv[1], PIXTRAL_NUL_TERMINATED, NULL,
                                             &copy->model) == PIXTRAL_STATUS_OK);
    CHECK(FUNCTION(copy, pixtral_session_new)(copy->model, NULL, &copy->session) ==
          PIXTRAL_STATUS_OK);
    pixtral_image *image = NULL;
    pixtral_message *message = NULL;
    CHECK(FUNCTION(copy, pixtral_image_from_file)(copy->model, argv[2], PIXTRAL_NUL_TERMINATED,
                                                  NULL, &image) == PIXTRAL_STATUS_OK);
    FUNCTION(copy, pixtral_message_new)(PIXTRAL_ROLE_USER, &message);
    FUNCTION(copy, pixtral_message_add_image)(message, image);
    FUNCTION(copy, pixtral_message_add_text)(message, "Describe the image.",
                                             PIXTRAL_NUL_TERMINATED);
    CHECK(FUNCTION(copy, pixtral_session_add_message)(copy->session, message) ==
          PIXTRAL_STATUS_OK);
    FUNCTION(copy, pixtral_message_free)(message);
    FUNCTION(copy, pixtral_image_free)(image);
    copy->generate = FUNCTION(copy, pixtral_session_generate);
}

static void close_copy(struct copy *copy) {
    FUNCTION(copy, pixtral_session_free)(copy->session);
    FUNCTION(copy, pixtral_model_free)(copy->model);
    CHECK(dlclose(copy->library) == 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 5);
    struct sigaction before[NSIG], after;
    for (int i = 1; i < NSIG; i++) {
        memset(&before[i], 0, sizeof before[i]);
        sigaction(i, NULL, &before[i]);
    }
    sigset_t mask_before, mask_after;
    sigprocmask(SIG_BLOCK, NULL, &mask_before);
    char *locale = strdup(setlocale(LC_ALL, NULL));
    /* What is written meanwhile goes to a file, which must stay empty. */
    FILE *output = tmpfile();
    int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    CHECK(output != NULL && out >= 0 && err >= 0);
    dup2(fileno(output), STDOUT_FILENO);
    dup2(fileno(output), STDERR_FILENO);

    struct copy first, second;
    open_copy(&first, argv[3], argv);
    open_copy(&second, argv[4], argv);
    pixtral_answer a = {.struct_size = sizeof a}, b = {.struct_size = sizeof b};
    pixtral_status status_a = first.generate(first.session, NULL, NULL, NULL, &a);
    pixtral_status status_b = second.generate(second.session, NULL, NULL, NULL, &b);
    int same = status_a == PIXTRAL_STATUS_OK && status_b == PIXTRAL_STATUS_OK &&
               strcmp(a.text, b.text) == 0;
    int apart = first.generate != second.generate;
    pixtral_model *none = NULL;
    FUNCTION(&first, pixtral_model_open)("nowhere", PIXTRAL_NUL_TERMINATED, NULL, &none);
    int own_errors = strlen(FUNCTION(&first, pixtral_last_error)()) > 0 &&
                     strlen(FUNCTION(&second, pixtral_last_error)()) == 0;
    close_copy(&first);
    close_copy(&second);
    /* And again, after it was closed. */
    open_copy(&first, argv[3], argv);
    close_copy(&first);

    fflush(NULL);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    CHECK(fseek(output, 0, SEEK_END) == 0 && ftell(output) == 0);
    fclose(output);
    CHECK(same && apart && own_errors);
    for (int i = 1; i < NSIG; i++) {
        memset(&after, 0, sizeof after);
        sigaction(i, NULL, &after);
        CHECK(after.sa_handler == before[i].sa_handler);
    }
    sigprocmask(SIG_BLOCK, NULL, &mask_after);
    CHECK(memcmp(&mask_before, &mask_after, sizeof mask_before) == 0);
    CHECK(strcmp(locale, setlocale(LC_ALL, NULL)) == 0);
    free(locale);
    return 0;
}
