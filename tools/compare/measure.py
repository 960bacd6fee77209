"""What is measured, in which order, and what the runs gave. Knows no program's command line."""

import json
import statistics
from dataclasses import dataclass

from files import drop_from_page_cache, read_into_page_cache

# A picture of one patch, for commands that cannot do without one.
NOTHING = "16x16"
# The job that finds nothing in the page cache.
COLD = "answer-cold"


@dataclass(frozen=True)
class Work:
    """What one run of a benchmark does; what is not measured is kept small."""

    measured: str
    image: str = ""
    prompt: int = 1
    generate: int = 1


@dataclass(frozen=True)
class Metric:
    """A measured value."""

    title: str
    unit: str
    # Whether larger values are better.
    rate: bool = False


@dataclass(frozen=True)
class Settings:
    """What holds for every run."""

    threads: int
    context: int
    repetitions: int
    question: str


def bench_values(report, work):
    """The value that `work` measures out of the report of either side's benchmark."""
    if work.measured == "load":
        return {"load": report["load_s"]}
    if work.measured == "encode":
        return {f"encode {work.image}": report["encode"][0]["time"]["median_s"]}
    phase = report[work.measured]
    return {f"{work.measured} {phase['tokens']}": phase["tokens_per_s"]}


def answer_values(outcome):
    """The values of a whole process that read one picture and one question."""
    return {
        "first token": outcome.first_output,
        "peak memory": outcome.peak,
        "anonymous memory": outcome.anonymous,
        "file-backed memory": outcome.file_backed,
    }


def metric(name):
    """How a value called `name` is to be read."""
    if name.startswith("encode "):
        return Metric(f"vision encode {name[7:].replace('x', '×')}", "s")
    if name.startswith(("prefill ", "decode ")):
        phase, tokens = name.split()
        return Metric(f"{phase} of {tokens} tokens", "tokens/s", rate=True)
    if name.endswith(" memory"):
        return Metric(name, "GiB")
    return Metric({"load": "load, warm", "first token": "time to first token, warm"}.get(name, name), "s")


def jobs(only, sizes, prompt, generate):
    """The runs that are asked for: (name, work), where the answer of a whole process has none."""
    all_jobs = {
        "load": [("load", Work("load"))],
        "encode": [(f"encode {size}", Work("encode", image=size)) for size in sizes],
        "prefill": [(f"prefill {prompt}", Work("prefill", prompt=prompt))],
        # After a short context.
        "decode": [(f"decode {generate}", Work("decode", prompt=32, generate=generate))],
        "answer": [("answer", None)],
        COLD: [(COLD, None)],
    }
    return [job for kind in only for job in all_jobs[kind]]


class Records:
    """Values of finished runs, kept in a file so that a stopped comparison goes on where it was."""

    def __init__(self, path, fingerprint):
        self.path, self.fingerprint, self.runs = path, fingerprint, {}
        for line in path.read_text().splitlines() if path.exists() else []:
            run = json.loads(line)
            if run["fingerprint"] == fingerprint:
                self.runs[run["side"], run["job"], run["pair"]] = run["values"]

    def add(self, side, job, pair, values):
        self.runs[side, job, pair] = values
        run = dict(fingerprint=self.fingerprint, side=side, job=job, pair=pair, values=values)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")


def measure(sides, programs, files, settings, wanted, pairs, records, tell):
    """Runs every job on every side, `pairs` times, sides in turn and each first equally often."""
    for name, work in wanted:
        for pair in range(pairs):
            turn = pair % len(sides)
            for side in sides[turn:] + sides[:turn]:
                if (side.name, name, pair) in records.runs:
                    continue
                tell(f"{name}: {pair + 1} of {pairs}, {side.name}")
                prepare = drop_from_page_cache if name == COLD else read_into_page_cache
                prepare(side.inputs(files))
                if work is None:
                    values = side.answer(programs, files, settings)
                else:
                    values = side.bench(programs, files, settings, work)
                if name == COLD:
                    values = {"time to first token, cold": values["first token"]}
                records.add(side.name, name, pair, values)


def results(records, wanted, sides, pairs):
    """Per metric the values of every side in order of pairs: {metric name: {side name: [value]}}."""
    table = {}
    for job, _ in wanted:
        for side in sides:
            for pair in range(pairs):
                for name, value in records.runs[side.name, job, pair].items():
                    table.setdefault(name, {}).setdefault(side.name, []).append(value)
    return table


def factors(name, ours, theirs):
    """How many times better ours is, pair by pair: median, least, most. Above 1 ours is better."""
    if metric(name).rate:
        ours, theirs = theirs, ours
    ratios = [t / o for o, t in zip(ours, theirs)]
    return statistics.median(ratios), min(ratios), max(ratios)
