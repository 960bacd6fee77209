"""The results as Markdown tables."""

import statistics

from kinds import metric
from measure import factors


def number(name, values):
    """The median with its unit and, in brackets, least and most."""
    scale = 1 << 30 if metric(name).unit == "GiB" else 1
    middle, *ends = (v / scale for v in (statistics.median(values), min(values), max(values)))
    digits = 3 if middle < 1 else 2 if middle < 100 else 0
    low, high = (f"{v:.{digits}f}" for v in ends)
    return f"{middle:.{digits}f} {metric(name).unit} ({low} … {high})"


def times(factor):
    """A factor and its spread."""
    return "{:.2f}× ({:.2f} … {:.2f})".format(*factor)


def groups(results):
    """The results by the sides that they have: [(side names, {metric name: values})]. What only some
    of a larger group's sides have is part of that group."""
    found = []
    for name, values in sorted(results.items(), key=lambda item: -len(item[1])):
        place = next((rows for sides, rows in found if values.keys() <= set(sides)), None)
        if place is None:
            place = {}
            found.append((list(values), place))
        place[name] = values
    order = list(results)
    return [(sides, dict(sorted(rows.items(), key=lambda row: order.index(row[0])))) for sides, rows in found]


def table(results, about):
    """`about` is a sentence on machine and model; the first side of each group is ours."""
    lines = [about]
    for sides, rows in groups(results):
        ours, *others = sides
        head = ["what", ours]
        for other in others:
            head += [other, f"{ours} is better by"]
        lines += ["", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for name, values in rows.items():
            cells = [metric(name).title, number(name, values[ours])]
            for other in others:
                if other not in values:
                    cells += ["", ""]
                    continue
                neutral = metric(name).neutral
                factor = "" if neutral else times(factors(name, values[ours], values[other]))
                cells += [number(name, values[other]), factor]
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Medians with the least and the most; factors are taken pair by pair."]
    return "\n".join(lines) + "\n"
