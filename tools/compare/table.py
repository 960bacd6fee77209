"""The results as a Markdown table."""

import statistics

from measure import factors, metric


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


def table(results, sides, about):
    """`about` is a sentence on machine and model; the first of `sides` is ours."""
    ours, *peers = (side.name for side in sides)
    head = ["what", ours]
    for peer in peers:
        head += [peer, f"{ours} is better by"]
    lines = [about, "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, values in results.items():
        cells = [metric(name).title, number(name, values[ours])]
        for peer in peers:
            if name == "file-backed memory":
                # Pages that the system can take back: neither more nor less is better.
                cells += [number(name, values[peer]), ""]
            else:
                cells += [number(name, values[peer]), times(factors(name, values[ours], values[peer]))]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Medians with the least and the most; factors are taken pair by pair."]
    return "\n".join(lines) + "\n"
