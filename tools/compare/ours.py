"""pixtral's side: which command each measurement is."""

import json
import shutil

import watch
from build import ROOT
from files import kept
from kinds import REPETITIONS, answer_values, bench_values, quantize_values
from served import Served

# A picture of one patch, for commands that cannot do without one.
NOTHING = "16x16"
# Tokens that are read before a long context is made out of them.
SEED = 64
# How answers in a conversation are made. An answer without text is no turn, and random weights say
# something only by chance, which temperature gives them.
SAID = ("--max-tokens", "2", "--temperature", "1", "--seed", "1")
DEMO_PICTURE = ROOT / "tools" / "pixtral" / "demo" / "demo.png"


def first_token(turn):
    """Seconds until the first token of a turn that goes on from an earlier one."""
    answer = json.loads(turn.line)
    tokens = answer["tokens"]
    if 2 * tokens["reused"] < tokens["prompt"]:
        raise SystemExit(f"the first turn was read again, which is not what is measured: {turn.line}")
    return turn.seconds - answer["seconds"]["decode"]


class Pixtral(Served):
    """pixtral with its default settings, and further `flags` for answering."""

    def __init__(self, name="pixtral", flags=()):
        self.name, self.flags = name, list(flags)

    def inputs(self, job, files):
        """The files that a run reads."""
        if job.kind == "quantize":
            return sorted(files.checkpoint.glob("*.safetensors"))
        return [] if job.kind == "drafts" else [files.model]

    def chat(self, programs, files, settings, *more):
        return [
            programs.pixtral, "chat", files.model, "--json", "--no-cache", *SAID,
            "--threads", str(settings.threads), "--ctx", str(settings.context), *more,
        ]

    def first_turn(self, files, settings):
        return f"/image {files.picture}\n{settings.question}"

    def load(self, job, programs, files, settings):
        """A conversation in which nothing is said, from its start to its end."""
        seconds = watch.run(self.chat(programs, files, settings)).seconds
        return {job.name: seconds}

    def bench(self, job, programs, files, settings):
        prompt = min(job.prompt, SEED) if job.kind == "decode" else job.prompt or 1
        command = [
            programs.pixtral, "bench", files.model, "--json", "--threads", str(settings.threads),
            "--repetitions", str(settings.repetitions), "--prompt", str(prompt),
            "--generate", str(job.generate or 1), "--image", job.size or NOTHING,
        ]
        if job.prompt > prompt:
            command += ["--after", str(job.prompt)]
        if job.parallel:
            command += ["--parallel", str(job.parallel)]
        return bench_values(job, json.loads(watch.run(command).stdout))

    encode = prefill = decode = parallel = bench

    def describe(self, programs, files, settings):
        return watch.run([
            programs.pixtral, "describe", files.model, files.picture, "--prompt", settings.question,
            "--max-tokens", "1", "--json", "--no-cache", "--threads", str(settings.threads),
            "--ctx", str(settings.context),
        ])

    def picture(self, job, programs, files, settings):
        answer = json.loads(self.describe(programs, files, settings).stdout)
        return {job.name: answer["tokens"]["prompt"] / answer["seconds"]["prefill"]}

    def answer(self, job, programs, files, settings):
        """One picture, one question. The output comes when the first token is there."""
        return answer_values(job, self.describe(programs, files, settings))

    def second(self, job, programs, files, settings):
        """Two turns of a conversation; the second one's time until its first token."""
        command = self.chat(programs, files, settings)
        turns = watch.converse(command, [self.first_turn(files, settings), settings.second])
        return {"second": first_token(turns[1])}

    def restart(self, job, programs, files, settings):
        """The second turn in a process of its own, which finds the first one in a session file."""
        def first_turn(path):
            path.unlink(missing_ok=True)
            command = self.chat(programs, files, settings, "--session", path)
            watch.converse(command, [self.first_turn(files, settings)])

        inputs = [programs.pixtral, files.model, files.picture]
        saved = kept(files, "first-turn.session", settings, inputs, first_turn)
        used = files.folder / "second-turn.session"
        shutil.copy(saved, used)
        command = self.chat(programs, files, settings, "--session", used)
        turns = watch.converse(command, [settings.second])
        used.unlink()
        return {"restart": first_token(turns[0])}

    def server(self, programs, files, settings, port, parallel, context):
        return [
            programs.pixtral, "serve", files.model, "--port", str(port), "--parallel", str(parallel),
            "--ctx", str(context), "--threads", str(settings.threads), "--no-cache",
        ]

    def quantize(self, job, programs, files, settings):
        out = files.folder / "quantized-pixtral.gguf"
        command = [
            programs.quantize, settings.quantized, files.checkpoint, "-o", out, "--overwrite",
            "--threads", str(settings.threads),
        ]
        values = quantize_values(watch.run(command))
        out.unlink()
        return values

    def drafts(self, job, programs, files, settings):
        """The demonstration model says what a picture shows, and then the same again and again, as in
        a document whose lines are alike. New text is what it says first."""
        command = [programs.pixtral, "chat", "--json", "--no-cache", *self.flags]
        conversation = [f"/image {DEMO_PICTURE}\n{settings.question}"] + 3 * [settings.question]
        pieces = REPETITIONS * (conversation[:-1] + [conversation[-1] + "\n/reset"])
        turns = [json.loads(turn.line) for turn in watch.converse(command, pieces)]
        rates = {}
        for name, chosen in (("new", [0]), ("repeating", [1, 2, 3])):
            of_these = [turn for i, turn in enumerate(turns) if i % 4 in chosen]
            tokens = sum(turn["tokens"]["generated"] for turn in of_these)
            rates[name] = tokens / sum(turn["seconds"]["decode"] for turn in of_these)
        return rates


OURS = Pixtral()
UNDRAFTED = Pixtral("pixtral --no-draft", ["--no-draft"])
