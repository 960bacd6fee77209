"""The results as an SVG bar chart: how many times better ours is, on a logarithmic scale."""

import math
from xml.sax.saxutils import escape

from kinds import metric
from measure import factors

LABELS, WIDTH, BAR, GAP, LINE, FOOT = 330, 900, 13, 12, 18, 30
COLOURS = ("#2f6fb0", "#9bbfe0", "#b9c9a0", "#e0b080", "#999999")


def bars_of(results):
    """Per metric its title and, for each side but ours, (side, factor, least, most)."""
    return [
        (metric(name).title, [(side, *factors(name, ours, theirs)) for side, theirs in others])
        for name, values in results.items()
        if not metric(name).neutral
        for (_, ours), *others in [values.items()]
    ]


def chart(results):
    """One group per metric, one bar per other side, with a line for the spread."""
    rows = bars_of(results)
    ends = [value for _, bars in rows for bar in bars for value in bar[1:]]
    low, high = min([0.5, *ends]), max([2.0, *ends])
    others = list(dict.fromkeys(bar[0] for _, bars in rows for bar in bars))
    colours = dict(zip(others, COLOURS * len(others)))

    def x(factor):
        share = math.log(factor / low) / math.log(high / low)
        return LABELS + share * (WIDTH - LABELS - 70)

    head = 2 * LINE + LINE * math.ceil(len(others) / 3) + 10
    height = head + sum(BAR * len(bars) + GAP for _, bars in rows) + FOOT
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<text x="8" y="18" font-weight="bold">pixtral is better by this factor</text>',
    ]
    for i, other in enumerate(others):
        left, y = 8 + i % 3 * 290, LINE * (2 + i // 3)
        out.append(f'<rect x="{left}" y="{y - 9}" width="10" height="10" fill="{colours[other]}"/>')
        out.append(f'<text x="{left + 14}" y="{y}">than {escape(other)}</text>')
    bottom = height - FOOT
    for tick in (2.0**power for power in range(-4, 12)):
        if low <= tick <= high:
            colour = "#333" if tick == 1 else "#ddd"
            out.append(f'<path d="M{x(tick):.1f} {head - 4}V{bottom}" stroke="{colour}"/>')
            out.append(f'<text x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}×</text>')
    top = head
    for title, bars in rows:
        middle = top + BAR * len(bars) / 2 + 4
        out.append(f'<text x="{LABELS - 8}" y="{middle:.1f}" text-anchor="end">{escape(title)}</text>')
        for i, (other, factor, least, most) in enumerate(bars):
            y = top + i * BAR
            start, end = sorted((x(1), x(factor)))
            out.append(
                f'<rect x="{start:.1f}" y="{y}" width="{end - start:.1f}" height="{BAR - 2}"'
                f' fill="{colours[other]}"/>'
            )
            line = y + (BAR - 2) / 2
            out.append(f'<path d="M{x(least):.1f} {line}H{x(most):.1f}" stroke="#333"/>')
            out.append(f'<text x="{x(most) + 6:.1f}" y="{y + BAR - 3}">{factor:.2f}×</text>')
        top += BAR * len(bars) + GAP
    out.append("</svg>")
    return "\n".join(out) + "\n"
