"""Compares pixtral with llama.cpp on the same weights, machine and kernels. README.md explains."""

import argparse
import hashlib
import math
import os
import platform
import sys
from pathlib import Path

import build
import files
import measure
from chart import chart
from kinds import KINDS, RUNNING, SERVED, Settings, jobs
from peer import PEERS
from table import table

SIZES = ["256x256", "512x512", "1024x704", "1024x1024"]
# What --short stands for: a direction in minutes, not a verdict.
SHORT = dict(pairs=1, sizes=["256x256"], prompts=[128], contexts=[32, 1024], generate=16, picture="256x256",
             context=2048)


def size(text):
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT, found {text}")
    return text


def some_of(known):
    def parse(text):
        chosen = text.split(",")
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected some of {', '.join(known)}")
        return chosen

    return parse


def positive(text):
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, found {text}")
    return int(text)


def arguments(words=None):
    what = "\n".join(f"  {kind:12} {meaning}" for kind, meaning in KINDS.items())
    p = argparse.ArgumentParser(description=__doc__, epilog=f"kinds:\n{what}",
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cache", type=Path, help="folder for the peer's build, the files and the results")
    what = p.add_argument_group("what is measured")
    what.add_argument("--only", type=some_of(KINDS), metavar="KIND,…", default=list(KINDS), help="some kinds [all]")
    what.add_argument("--peers", type=some_of(PEERS), metavar="NAME,…", default=["default", "no-repack"],
                      help=f"settings of llama.cpp: some of {', '.join(PEERS)} [default,no-repack]")
    what.add_argument("--sizes", type=size, nargs="+", metavar="WxH", default=SIZES, help="pictures to encode")
    what.add_argument("--picture", type=size, default="512x512", metavar="WxH", help="picture of the question")
    what.add_argument("--prompts", type=positive, nargs="+", metavar="N", default=[512, 2048],
                      help="tokens of prefill [512 2048]")
    what.add_argument("--generate", type=positive, default=64, metavar="N", help="tokens of decode [%(default)s]")
    what.add_argument("--contexts", type=positive, nargs="+", metavar="N", default=[32, 4096],
                      help="tokens before those of decode [32 4096]")
    what.add_argument("--parallel", type=positive, default=8, metavar="N", help="answers at once [%(default)s]")
    what.add_argument("--beside", type=size, default="1024x1024", metavar="WxH",
                      help="picture that one client sends while another is answered [%(default)s]")
    how = p.add_argument_group("how")
    how.add_argument("--pairs", type=positive, default=5, metavar="N", help="runs of each side [%(default)s]")
    how.add_argument("--repetitions", type=positive, default=1, metavar="N",
                     help="counted repetitions within a run, after one that is not [%(default)s]")
    how.add_argument("--context", type=positive, default=8192, metavar="N", help="context of both [%(default)s]")
    how.add_argument("--threads", type=positive, default=os.cpu_count(), metavar="N",
                     help="threads of both [%(default)s]")
    how.add_argument("--short", action="store_true",
                     help="one pair of small sizes: " + ", ".join(f"{k} {v}" for k, v in SHORT.items()))
    how.add_argument("--budget", type=float, default=math.inf, metavar="MINUTES",
                     help="begin no run that would end later, as far as earlier runs say; the same command goes on")
    how.add_argument("--build-only", action="store_true", help="build the peer and make the files, measure nothing")
    how.add_argument("--report", action="store_true", help="measure nothing, write table and chart of what there is")
    weights = p.add_argument_group("weights and programs")
    weights.add_argument("--model", type=Path, help="a file of pixtral-quantize [default: random weights]")
    weights.add_argument("--type", default="q4_k", help="type of the random weights [%(default)s]")
    weights.add_argument("--shape", default="pixtral-12b", help="shape of the random weights [%(default)s]")
    weights.add_argument("--layers", type=positive, metavar="N", help="layers of both towers [those of the shape]")
    weights.add_argument("--quantize-layers", type=positive, default=2, metavar="N",
                         help="layers of both towers for quantising, which needs the bf16 weights twice [%(default)s]")
    weights.add_argument("--quantized", default="q4_k", metavar="TYPE", help="type to quantise to [%(default)s]")
    weights.add_argument("--pixtral", type=Path, metavar="DIR", help="folder of our programs [default: build them]")
    args = p.parse_args(words)
    if args.short:
        for name, value in SHORT.items():
            if getattr(args, name) == p.get_default(name):
                setattr(args, name, value)
    return args


def shape(name, layers):
    """Arguments of `pixtral-quantize synth`."""
    count = ("--layers", str(layers), "--vision-layers", str(layers)) if layers else ()
    return ("--shape", name, *count)


def make_files(args, quantize, cache):
    """What the kinds asked for need."""
    made = {}
    if RUNNING & set(args.only):
        source = files.Source(args.model and args.model.resolve(), args.type, shape(args.shape, args.layers))
        made.update(files.for_running(quantize, cache, source, args.picture))
    if "quantize" in args.only:
        made.update(files.for_quantising(quantize, cache, shape(args.shape, args.quantize_layers)))
    return files.Files(cache, **made)


def marks(programs, compared, settings):
    """For each kind what changes when a program, its files or a setting does."""

    def about(path):
        stat = path.stat()
        return f"{path} {stat.st_size} {stat.st_mtime_ns}"

    running = [compared.model, compared.text, compared.mmproj, compared.picture]
    inputs = {"quantize": [compared.checkpoint, compared.bf16], "drafts": []}
    found = {}
    for kind in KINDS:
        paths = [path for path in inputs.get(kind, running) if path]
        ran = vars(programs).items()
        ran = [path for name, path in ran if path and (name != "llama_server" or kind in SERVED)]
        parts = [repr(settings), *map(about, [*ran, *paths])]
        found[kind] = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return found


def processor():
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def description(args, compared):
    """A sentence on model and machine."""
    models = []
    if compared.model:
        models.append(f"{compared.model.name}, {compared.model.stat().st_size / 2**30:.2f} GiB")
    if compared.checkpoint:
        models.append(f"quantising: {compared.checkpoint.name} to {args.quantized}")
    return (
        f"{'; '.join(models) or 'The demonstration model'}; on {processor()}, {args.threads} threads; "
        f"up to {args.pairs} runs of each side in turn."
    )


def main():
    args = arguments()
    cache = args.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    served = bool(SERVED & set(args.only))
    programs = build.build(cache, args.threads, args.pixtral and args.pixtral.resolve(), served)
    compared = make_files(args, programs.quantize, cache)
    if args.build_only:
        return
    settings = Settings(args.threads, args.context, args.repetitions, quantized=args.quantized)
    records = measure.Records(cache / "runs.jsonl", marks(programs, compared, settings))
    wanted = jobs(args.only, args.sizes, args.prompts, args.picture, args.generate, args.contexts,
                  args.parallel, args.beside)
    left = 0
    if not args.report:
        left = measure.measure(
            programs, compared, settings, measure.missing(records, wanted, args.peers, args.pairs), records,
            60 * args.budget, lambda text: print(text, file=sys.stderr, flush=True),
        )
    found = measure.results(records, wanted, args.peers, args.pairs)
    text = table(found, description(args, compared))
    (cache / "compare.md").write_text(text, encoding="utf-8")
    (cache / "compare.svg").write_text(chart(found), encoding="utf-8")
    print(text, end="")
    if left:
        print(f"{left} runs are left: give the same command again", file=sys.stderr)


if __name__ == "__main__":
    main()
