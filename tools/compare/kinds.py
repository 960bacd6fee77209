"""What can be measured: the kinds of jobs, and how their values are to be read. Knows no program's
command line."""

from dataclasses import dataclass

# A conversation that a model of few words answers with the same words again and again.
REPETITIONS = 8
# Tokens that several answers at once have in common.
PARALLEL_PROMPT = 32
# Longest conversation of a server's clients who send no picture.
SERVED_CONTEXT = 1024


@dataclass(frozen=True)
class Job:
    """One thing to measure. `kind` is the method of a side that does it."""

    kind: str
    # Distinguishes it from others of its kind, in the records too.
    detail: str = ""
    # Parameters of the kind: a size of picture, or numbers of tokens.
    size: str = ""
    prompt: int = 0
    generate: int = 0
    # Answers at once.
    parallel: int = 0
    # Whether the files are dropped from the page cache first.
    cold: bool = False

    @property
    def name(self):
        return f"{self.kind} {self.detail}".strip()


@dataclass(frozen=True)
class Settings:
    """What holds for every run."""

    threads: int
    context: int
    repetitions: int
    question: str = "Describe the image."
    second: str = "What is in the middle?"
    # The type that quantising goes to.
    quantized: str = "q4_k"


@dataclass(frozen=True)
class Metric:
    """How a value is called and compared."""

    title: str
    unit: str
    # Whether larger values are better.
    rate: bool = False
    # Whether neither more nor less is better.
    neutral: bool = False


# The kinds and what they are for, in the order of the table.
KINDS = {
    "load": "from the start of the process until a question can be asked, files in the page cache",
    "load-cold": "the same, files on the disk",
    "encode": "vision tower, for each of --sizes",
    "prefill": "reading of text, for each of --prompts",
    "picture": "reading of the tokens of --picture with a question",
    "decode": "--generate tokens, after each of --contexts",
    "parallel": "--generate tokens of each of --parallel answers at once",
    "answer": "one picture, one question, from the start of the process: first token, memory",
    "answer-cold": "the same, files on the disk",
    "second": "a second question on the same picture, in the same process",
    "restart": "a second question on the same picture, in another process",
    "serve": "--generate tokens of one answer and of --parallel answers at once, from the servers",
    "beside": "an answer of the server while another client sends a picture of --beside",
    "quantize": "bf16 weights to --quantized: time, memory",
    "drafts": "pixtral alone: decode with and without drafts, text that repeats and text that does not",
}

# Kinds whose sides are not those of the others.
ALONE = {"drafts"}
# Kinds that need llama.cpp's server.
SERVED = {"serve", "beside"}
# Kinds that need the model in both forms.
RUNNING = set(KINDS) - {"quantize", "drafts"}

METRICS = {
    "load": Metric("ready, warm", "s"),
    "load cold": Metric("ready, cold", "s"),
    "first token": Metric("time to first token, warm", "s"),
    "first token cold": Metric("time to first token, cold", "s"),
    "peak memory": Metric("peak memory", "GiB"),
    "anonymous memory": Metric("anonymous memory", "GiB"),
    "file-backed memory": Metric("file-backed memory", "GiB", neutral=True),
    "second": Metric("second question, same process", "s"),
    "restart": Metric("second question, new process, saved state", "s"),
    "restart, all read again": Metric("second question, new process, llama.cpp reads all again", "s"),
    "serve 1": Metric("one answer, served", "tokens/s", rate=True),
    "beside median": Metric("between two tokens beside a picture, median", "s"),
    "beside longest": Metric("between two tokens beside a picture, longest", "s"),
    "beside picture": Metric("first token of that picture", "s"),
    "quantize": Metric("quantising", "s"),
    "quantize peak memory": Metric("quantising, peak memory", "GiB"),
    "quantize anonymous memory": Metric("quantising, anonymous memory", "GiB"),
    "repeating": Metric("decode of text that repeats", "tokens/s", rate=True),
    "new": Metric("decode of new text", "tokens/s", rate=True),
}


def metric(name):
    """How a value called `name` is to be read."""
    if name in METRICS:
        return METRICS[name]
    kind, _, detail = name.partition(" ")
    titles = {
        "encode": f"vision encode {detail.replace('x', '×')}",
        "prefill": f"prefill of {detail} tokens",
        "picture": f"prefill of a {detail.replace('x', '×')} picture and a question",
        "decode": "decode of {} tokens after {}".format(*detail.split(" after "))
        if " after " in detail else name,
        "parallel": f"decode of {detail} answers at once",
        "serve": f"{detail} answers at once, served",
    }
    return Metric(titles.get(kind, name), "s" if kind == "encode" else "tokens/s", rate=kind != "encode")


def jobs(only, sizes, prompts, picture, generate, contexts, parallel=8, beside="1024x1024"):
    """The jobs of the kinds in `only`."""
    every = {
        "load": [Job("load")],
        "load-cold": [Job("load", "cold", cold=True)],
        "encode": [Job("encode", size, size=size) for size in sizes],
        "prefill": [Job("prefill", str(n), prompt=n) for n in prompts],
        "picture": [Job("picture", picture, size=picture)],
        "decode": [Job("decode", f"{generate} after {n}", prompt=n, generate=generate) for n in contexts],
        "parallel": [Job("parallel", str(parallel), prompt=PARALLEL_PROMPT, generate=generate, parallel=parallel)],
        "answer": [Job("answer")],
        "answer-cold": [Job("answer", "cold", cold=True)],
        "second": [Job("second")],
        "restart": [Job("restart")],
        "serve": [Job("serve", str(parallel), generate=generate, parallel=parallel)],
        "beside": [Job("beside", size=beside)],
        "quantize": [Job("quantize")],
        "drafts": [Job("drafts")],
    }
    return [(kind, job) for kind in only for job in every[kind]]


def answer_values(job, outcome):
    """The values of a whole process that read one picture and one question."""
    if job.cold:
        return {"first token cold": outcome.first_output}
    return {
        "first token": outcome.first_output,
        "peak memory": outcome.peak,
        "anonymous memory": outcome.anonymous,
        "file-backed memory": outcome.file_backed,
    }


def quantize_values(outcome):
    """The values of a process that quantised."""
    return {
        "quantize": outcome.seconds,
        "quantize peak memory": outcome.peak,
        "quantize anonymous memory": outcome.anonymous,
    }


def bench_values(job, report):
    """The value of a job out of the report of either side's benchmark."""
    if job.kind == "encode":
        return {job.name: report["encode"][0]["time"]["median_s"]}
    return {job.name: report[job.kind]["tokens_per_s"]}
