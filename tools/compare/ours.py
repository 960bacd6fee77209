"""pixtral's side: which command each measurement is."""

import json

import watch
from measure import NOTHING, answer_values, bench_values


class Pixtral:
    """pixtral with its default settings."""

    name = "pixtral"

    def inputs(self, files):
        return [files.model]

    def bench(self, programs, files, settings, work):
        command = [
            programs.pixtral, "bench", files.model, "--json", "--threads", str(settings.threads),
            "--repetitions", str(settings.repetitions), "--prompt", str(work.prompt),
            "--generate", str(work.generate), "--image", work.image or NOTHING,
        ]
        return bench_values(json.loads(watch.run(command).stdout), work)

    def answer(self, programs, files, settings):
        """One picture, one question. The output comes when the first token is there."""
        command = [
            programs.pixtral, "describe", files.model, files.picture, "--prompt", settings.question,
            "--max-tokens", "1", "--json", "--threads", str(settings.threads),
            "--ctx", str(settings.context),
        ]
        return answer_values(watch.run(command))


OURS = Pixtral()
