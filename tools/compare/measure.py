"""In which order things are measured, for how long, and what the runs gave."""

import json
import statistics
import time

from files import drop_from_page_cache, read_into_page_cache
from kinds import ALONE, metric
from ours import OURS, UNDRAFTED
from peer import PEERS


def sides_of(kind, peers):
    """The sides that a kind compares; the first is ours."""
    if kind in ALONE:
        return [OURS, UNDRAFTED]
    # Quantising knows none of the flags that tell the peers apart.
    chosen = peers[:1] if kind == "quantize" else peers
    return [OURS, *(PEERS[name] for name in chosen)]


class Records:
    """Values of finished runs, kept in a file so that a stopped comparison goes on where it was.

    `marks` says for each kind what its values depend on beside the job: values of other programs,
    files or settings do not count."""

    def __init__(self, path, marks):
        self.path, self.marks, self.runs = path, marks, {}
        for line in path.read_text().splitlines() if path.exists() else []:
            run = json.loads(line)
            self.runs[run["mark"], run["side"], run["job"], run["pair"]] = run

    def key(self, kind, side, job, pair):
        return self.marks[kind], side.name, job.name, pair

    def values(self, *key):
        """What a run gave, or None if it is still to be done."""
        run = self.runs.get(self.key(*key))
        return run and run["values"]

    def add(self, kind, side, job, pair, values, took):
        key = self.key(kind, side, job, pair)
        run = dict(zip(("mark", "side", "job", "pair"), key), values=values, took=took)
        self.runs[key] = run
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")

    def expected(self, side, job):
        """Seconds that a run will take, as far as earlier ones say; 0 if there were none."""
        took = [run["took"] for key, run in self.runs.items() if key[1:3] == (side.name, job.name)]
        return statistics.median(took) if took else 0


def missing(records, wanted, peers, pairs):
    """The runs that are still to be done: sides in turn, each first equally often."""
    for kind, job in wanted:
        sides = sides_of(kind, peers)
        for pair in range(pairs):
            turn = pair % len(sides)
            for side in sides[turn:] + sides[:turn]:
                if records.values(kind, side, job, pair) is None:
                    yield kind, job, pair, side


def measure(programs, files, settings, runs, records, budget, tell, clock=time.monotonic):
    """Does `runs` one after another, none of which is begun if it would end after `budget` seconds.
    Returns how many were not done."""
    start = clock()
    runs = list(runs)
    for number, (kind, job, pair, side) in enumerate(runs):
        begun = clock()
        if begun - start + records.expected(side, job) > budget:
            return len(runs) - number
        tell(f"{job.name}: pair {pair + 1}, {side.name}")
        prepare = drop_from_page_cache if job.cold else read_into_page_cache
        prepare(side.inputs(job, files))
        values = getattr(side, job.kind)(job, programs, files, settings)
        records.add(kind, side, job, pair, values, clock() - begun)
    return 0


def results(records, wanted, peers, pairs):
    """Per metric the values of every side in order of pairs: {metric name: {side name: [value]}}.
    Pairs that lack a side do not count."""
    table = {}
    for kind, job in wanted:
        sides = sides_of(kind, peers)
        for pair in range(pairs):
            values = {side.name: records.values(kind, side, job, pair) for side in sides}
            if None in values.values():
                continue
            for side, found in values.items():
                for name, value in found.items():
                    table.setdefault(name, {}).setdefault(side, []).append(value)
        if kind == "restart" and {"restart", "first token"} <= table.keys():
            again = {OURS.name: table["restart"][OURS.name]}
            table["restart, all read again"] = {**table["first token"], **again}
    return table


def factors(name, ours, theirs):
    """How many times better ours is, pair by pair: median, least, most. Above 1 ours is better."""
    if metric(name).rate:
        ours, theirs = theirs, ours
    ratios = [t / o for o, t in zip(ours, theirs)]
    return statistics.median(ratios), min(ratios), max(ratios)
