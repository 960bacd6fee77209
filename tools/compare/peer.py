"""llama.cpp's side, in two settings of its own flags: which command each measurement is."""

import json

import watch
from measure import NOTHING, answer_values, bench_values

# Pictures keep their size up to this many patches; by default they are scaled down to 1024.
MOST_PATCHES = 4096


class Peer:
    """llama.cpp as it is set up by default, or with its weights unpacked and no run to warm up."""

    def __init__(self, name, repack):
        self.name = name
        self.flags = [] if repack else ["--no-repack"]
        self.answer_flags = [] if repack else ["--no-repack", "--no-warmup"]

    def inputs(self, files):
        return [files.text, files.mmproj]

    def bench(self, programs, files, settings, work):
        command = [
            programs.peer_bench, "--model", files.text, "--mmproj", files.mmproj,
            "--threads", str(settings.threads), "--repetitions", str(settings.repetitions),
            "--prompt", str(work.prompt), "--generate", str(work.generate),
            "--image", work.image or NOTHING, "--image-max-tokens", str(MOST_PATCHES), *self.flags,
        ]
        return bench_values(json.loads(watch.run(command).stdout), work)

    def answer(self, programs, files, settings):
        """One picture, one question. The tool writes a line end when the prompt is read, just
        before it samples the first token: that is taken for the first token's time."""
        command = [
            programs.mtmd_cli, "-m", files.text, "--mmproj", files.mmproj,
            "--image", files.picture, "-p", settings.question, "-n", "1",
            "--threads", str(settings.threads), "-c", str(settings.context), "--temp", "0",
            "--image-max-tokens", str(MOST_PATCHES),
            "--no-jinja", "--chat-template", "mistral-v3-tekken", *self.answer_flags,
        ]
        return answer_values(watch.run(command))


DEFAULT = Peer("llama.cpp", repack=True)
PLAIN = Peer("llama.cpp --no-repack", repack=False)
