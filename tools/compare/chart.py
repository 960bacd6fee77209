"""The results as an SVG bar chart: how many times better ours is, on a logarithmic scale."""

import math
from xml.sax.saxutils import escape

from measure import factors, metric

LABELS, WIDTH, BAR, GAP, HEAD, FOOT = 230, 760, 13, 12, 46, 30
COLOURS = ("#2f6fb0", "#9bbfe0")


def chart(results, sides):
    """One group per metric, one bar per setting of the peer, with a line for the spread."""
    ours, *peers = (side.name for side in sides)
    rows = [
        (metric(name).title, [factors(name, values[ours], values[peer]) for peer in peers])
        for name, values in results.items()
        if name != "file-backed memory"
    ]
    ends = [value for _, bars in rows for bar in bars for value in bar]
    low = min(0.5, *ends)
    high = max(2.0, *ends)

    def x(factor):
        share = math.log(factor / low) / math.log(high / low)
        return LABELS + share * (WIDTH - LABELS - 70)

    group = BAR * len(peers) + GAP
    height = HEAD + group * len(rows) + FOOT
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="8" y="18" font-weight="bold">{escape(ours)} is better by this factor</text>',
    ]
    for i, peer in enumerate(peers):
        left = LABELS + i * 200
        out.append(f'<rect x="{left}" y="26" width="10" height="10" fill="{COLOURS[i % 2]}"/>')
        out.append(f'<text x="{left + 14}" y="35">than {escape(peer)}</text>')
    bottom = height - FOOT
    for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256):
        if low <= tick <= high:
            colour = "#333" if tick == 1 else "#ddd"
            out.append(f'<path d="M{x(tick):.1f} {HEAD - 4}V{bottom}" stroke="{colour}"/>')
            out.append(f'<text x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}×</text>')
    for row, (title, bars) in enumerate(rows):
        top = HEAD + row * group
        middle = top + BAR * len(peers) / 2 + 4
        out.append(f'<text x="{LABELS - 8}" y="{middle:.1f}" text-anchor="end">{escape(title)}</text>')
        for i, (factor, least, most) in enumerate(bars):
            y = top + i * BAR
            start, end = sorted((x(1), x(factor)))
            out.append(
                f'<rect x="{start:.1f}" y="{y}" width="{end - start:.1f}" height="{BAR - 2}"'
                f' fill="{COLOURS[i % 2]}"/>'
            )
            line = y + (BAR - 2) / 2
            out.append(f'<path d="M{x(least):.1f} {line}H{x(most):.1f}" stroke="#333"/>')
            out.append(f'<text x="{x(most) + 6:.1f}" y="{y + BAR - 3}">{factor:.2f}×</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"
