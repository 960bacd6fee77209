/*
 * quantize CHECKPOINT OUTPUT [TYPE]: converts a checkpoint to the file that models are opened from, and
 * prints a report as JSON.
 *
 *     cc quantize.c $(pkg-config --cflags --libs pixtral) -o quantize
 */
#include <pixtral.h>

#include <stdio.h>
#include <stdlib.h>

static int32_t show(const pixtral_event *event, void *user_data) {
    (void)user_data;
    if (event->kind == PIXTRAL_EVENT_KIND_CONVERTING) {
        fprintf(stderr, "\r%3d %% %-40s", (int)(100 * event->done / event->total), event->text);
    }
    return 0; /* Anything else would cancel; the same call resumes. */
}

int main(int argc, char **argv) {
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: quantize CHECKPOINT OUTPUT [TYPE]\n");
        return 2;
    }
    pixtral_quantize_options options;
    pixtral_quantize_options_init(&options, sizeof options);
    if (argc == 4) {
        options.weight_type = argv[3];
    }
    char *report = NULL;
    pixtral_status status =
        pixtral_quantize(argv[1], PIXTRAL_NUL_TERMINATED, argv[2], PIXTRAL_NUL_TERMINATED,
                         &options, show, NULL, &report);
    fputc('\n', stderr);
    if (status != PIXTRAL_STATUS_OK) {
        fprintf(stderr, "%s\n", pixtral_last_error());
        return EXIT_FAILURE;
    }
    printf("%s\n", report);
    pixtral_string_free(report);
    return EXIT_SUCCESS;
}
