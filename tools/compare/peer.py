"""llama.cpp's side, in settings of its own flags: which command each measurement is."""

import json
from dataclasses import dataclass

import watch
from files import kept
from kinds import answer_values, bench_values, quantize_values
from served import Served

# Pictures keep their size up to this many patches; by default they are scaled down to 1024.
MOST_PATCHES = 4096
# Tokens that are read before a long context is made out of them.
SEED = 64


@dataclass(frozen=True)
class Peer(Served):
    """llama.cpp with some of its flags, as its tools and as peer-bench know them."""

    name: str
    cli_flags: tuple = ()
    bench_flags: tuple = ()

    def inputs(self, job, files):
        """The files that a run reads."""
        return [files.bf16] if job.kind == "quantize" else [files.text, files.mmproj]

    def bench(self, programs, files, settings, *more, vision=True):
        command = [programs.peer_bench, "--model", files.text, "--threads", str(settings.threads)]
        if vision:
            command += ["--mmproj", files.mmproj, "--image-max-tokens", str(MOST_PATCHES)]
        return watch.run([*command, *self.bench_flags, *map(str, more)])

    def load(self, job, programs, files, settings):
        """Both files and a context; the report comes when they are there."""
        outcome = self.bench(programs, files, settings, "--context", settings.context)
        return {job.name: outcome.first_output}

    def measured(self, job, programs, files, settings, *more, vision=False):
        more += ("--repetitions", settings.repetitions)
        outcome = self.bench(programs, files, settings, *more, vision=vision)
        return bench_values(job, json.loads(outcome.stdout))

    def encode(self, job, programs, files, settings):
        return self.measured(job, programs, files, settings, "--image", job.size, vision=True)

    def prefill(self, job, programs, files, settings):
        return self.measured(job, programs, files, settings, "--prompt", job.prompt)

    def decode(self, job, programs, files, settings):
        seed = min(job.prompt, SEED)
        more = ("--prompt", seed, "--before", job.prompt, "--generate", job.generate)
        return self.measured(job, programs, files, settings, *more)

    def parallel(self, job, programs, files, settings):
        """What its server computes for a step of as many answers."""
        more = ("--prompt", job.prompt, "--generate", job.generate, "--parallel", job.parallel)
        return self.measured(job, programs, files, settings, *more)

    def question(self, files, settings):
        return (
            "--context", settings.context, "--picture", files.picture, "--question", settings.question,
        )

    def picture(self, job, programs, files, settings):
        outcome = self.bench(programs, files, settings, *self.question(files, settings))
        report = json.loads(outcome.stdout)["picture"]
        return {job.name: report["tokens"] / report["prefill_s"]}

    def answer(self, job, programs, files, settings):
        """One picture, one question. The tool writes a line end when the prompt is read, just
        before it samples the first token: that is taken for the first token's time."""
        command = [
            programs.mtmd_cli, "-m", files.text, "--mmproj", files.mmproj,
            "--image", files.picture, "-p", settings.question, "-n", "1",
            "--threads", str(settings.threads), "-c", str(settings.context), "--temp", "0",
            "--image-max-tokens", str(MOST_PATCHES),
            "--no-jinja", "--chat-template", "mistral-v3-tekken", *self.cli_flags,
        ]
        return answer_values(job, watch.run(command))

    def second(self, job, programs, files, settings):
        """What its server does for a prompt that begins like the last one."""
        more = (*self.question(files, settings), "--second", settings.second)
        outcome = self.bench(programs, files, settings, *more)
        return {"second": json.loads(outcome.stdout)["second"]["seconds"]}

    def restart(self, job, programs, files, settings):
        """The same in a process of its own, which finds keys and values in a file. It needs no
        vision tower."""

        def first_turn(path):
            more = (*self.question(files, settings), "--save-state", path)
            self.bench(programs, files, settings, *more)

        inputs = [programs.peer_bench, files.text, files.mmproj, files.picture]
        saved = kept(files, "first-turn.state", settings, inputs, first_turn)
        more = ("--context", settings.context, "--load-state", saved, "--second", settings.second)
        return {"restart": self.bench(programs, files, settings, *more, vision=False).first_output}

    def server(self, programs, files, settings, port, parallel, context):
        """Its server, of the release before (build.py says why)."""
        return [
            programs.llama_server, "-m", files.text, "--mmproj", files.mmproj, "--port", str(port),
            "--parallel", str(parallel), "-c", str(parallel * context), "--threads", str(settings.threads),
            "--image-max-tokens", str(MOST_PATCHES), "--no-jinja", "--chat-template", "mistral-v3-tekken",
            *self.cli_flags,
        ]

    def quantize(self, job, programs, files, settings):
        out = files.folder / "quantized-peer.gguf"
        threads = str(settings.threads)
        command = [programs.peer_quantize, files.bf16, out, settings.quantized, threads]
        values = quantize_values(watch.run(command))
        out.unlink()
        return values


# As --peers names them. Flash attention is on by default where the processor's kernels have it.
PEERS = {
    "default": Peer("llama.cpp"),
    "no-repack": Peer(
        "llama.cpp --no-repack", ("--no-repack", "--no-warmup", "-fa", "on"), ("--no-repack", "--flash-attn")
    ),
    "no-repack-no-mmap": Peer(
        "llama.cpp --no-repack --no-mmap",
        ("--no-repack", "--no-warmup", "-fa", "on", "--load-mode", "none"),
        ("--no-repack", "--flash-attn", "--no-mmap"),
    ),
    "no-mmap": Peer(
        "llama.cpp --no-mmap", ("--no-warmup", "-fa", "on", "--load-mode", "none"), ("--flash-attn", "--no-mmap")
    ),
}
