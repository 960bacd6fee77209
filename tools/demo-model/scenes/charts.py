"""Bar charts: two to five labelled bars with whole values from 1 to 10."""

from dataclasses import dataclass
from random import Random

from PIL import ImageDraw

from scenes.base import Landmark, Question, Scene, one
from scenes.drawing import COLOUR_NAMES, COLOURS, canvas, draw_text, random_shade, shaded, text_box
from scenes.english import NUMBERS, listing
from scenes.phrases import DESCRIBE, HOW_MANY, WHAT_COLOUR
from scenes.sizes import picture_size

TOP_VALUE = 10
LABELS = "ABCDE"
AXIS, GRID = (60, 60, 60), (205, 205, 205)


@dataclass(frozen=True)
class Bar:
    label: str
    value: int
    colour: str


@dataclass(frozen=True)
class Chart:
    """All that is true of one chart."""

    width: int
    height: int
    bars: tuple[Bar, ...]
    printed_values: bool

    def extreme(self, highest: bool) -> Bar | None:
        values = [bar.value for bar in self.bars]
        best = max(values) if highest else min(values)
        return next(bar for bar in self.bars if bar.value == best) if values.count(best) == 1 else None


def make_chart(rng: Random) -> Chart:
    width, height = picture_size(rng, 112, 256)
    count = rng.randint(2, 5 if width >= 144 else 4)
    single = rng.choice(COLOUR_NAMES) if rng.random() < 0.4 else None
    colours = [single] * count if single else rng.sample(COLOUR_NAMES, count)
    bars = tuple(Bar(LABELS[i], rng.randint(1, TOP_VALUE), colours[i]) for i in range(count))
    return Chart(width, height, bars, rng.random() < 0.5)


def scene_of(rng: Random, chart: Chart) -> Scene:
    picture = canvas(chart.width, chart.height, "white", random_shade(rng, 5))
    draw = ImageDraw.Draw(picture.image)
    left, right, top, bottom = 24, chart.width - 6, 20, chart.height - 22
    unit = (bottom - top) / TOP_VALUE
    for value in range(0, TOP_VALUE + 1):
        y = round(bottom - value * unit)
        draw.line((left - (4 if value % 5 == 0 else 0), y, right, y), fill=AXIS if value == 0 else GRID)
        if value % 5 == 0:
            x0, y0, x1, y1 = text_box(12, str(value))
            draw_text(picture, str(value), left - 6 - (x1 - x0), y - (y1 - y0) // 2, 12, AXIS)
    draw.line((left, top, left, bottom), fill=AXIS)
    slot = (right - left) / len(chart.bars)
    fill = {colour: shaded(COLOURS[colour], random_shade(rng)) for colour in dict.fromkeys(bar.colour for bar in chart.bars)}
    thickness = rng.uniform(0.45, 0.8)
    for index, bar in enumerate(chart.bars):
        middle = left + (index + 0.5) * slot
        y = round(bottom - bar.value * unit)
        half = thickness * slot / 2
        draw.rectangle((round(middle - half), y, round(middle + half), bottom - 1), fill=fill[bar.colour])
        picture.landmarks.append(Landmark(middle, y, "bar", bar.colour))
        x0, _, x1, _ = text_box(14, bar.label)
        draw_text(picture, bar.label, round(middle - (x1 - x0) / 2), bottom + 5, 14, AXIS)
        if chart.printed_values:
            x0, y0, x1, y1 = text_box(12, str(bar.value))
            draw_text(picture, str(bar.value), round(middle - (x1 - x0) / 2), y - (y1 - y0) - 3, 12, AXIS)
    return Scene([picture], {kind: (lambda r, asker=asker: asker(r, chart)) for kind, asker in ASKERS.items()})


def generate(rng: Random) -> Scene:
    return scene_of(rng, make_chart(rng))


def highest(rng: Random, chart: Chart) -> Question | None:
    top = rng.random() < 0.65
    bar = chart.extreme(top)
    if bar is None:
        return None
    words = ("highest", "tallest", "largest") if top else ("lowest", "shortest", "smallest")
    question = rng.choice(("Which bar is {}?", "Which bar is the {}?", "Which is the {} bar?", "What is the {} bar?"))
    return one("highest", question.format(rng.choice(words)), f"Bar {bar.label} is the {words[0]}.")


def value(rng: Random, chart: Chart) -> Question:
    bar = rng.choice(chart.bars)
    question = rng.choice(("What is the value of bar {}?", "How high is bar {}?", "Which value does bar {} have?",
                           "What value does bar {} show?", "What is the value of {}?"))
    return one("value", question.format(bar.label), f"Bar {bar.label} has the value {bar.value}.")


def count(rng: Random, chart: Chart) -> Question:
    return one("count", rng.choice(HOW_MANY).format("bars"), f"There are {NUMBERS[len(chart.bars)]} bars.")


def colour(rng: Random, chart: Chart) -> Question:
    bar = rng.choice(chart.bars)
    return one("colour", rng.choice(WHAT_COLOUR).replace("the {}", "bar {}").format(bar.label), f"Bar {bar.label} is {bar.colour}.")


def describe(rng: Random, chart: Chart) -> Question:
    parts = listing([f"{bar.label} is {bar.value}" for bar in chart.bars])
    return one("describe", rng.choice(DESCRIBE), f"The image shows a bar chart with {NUMBERS[len(chart.bars)]} bars: {parts}.")


def yesno(rng: Random, chart: Chart) -> Question | None:
    a, b = rng.sample(chart.bars, 2)
    if a.value == b.value:
        return None
    asked, true = rng.choice(("higher", "lower")), "higher" if a.value > b.value else "lower"
    return one("yesno", f"Is bar {a.label} {asked} than bar {b.label}?",
               f"{'Yes' if asked == true else 'No'}, bar {a.label} is {true} than bar {b.label}.")


def followup(rng: Random, chart: Chart) -> Question | None:
    first = highest(rng, chart)
    if first is None:
        return None
    bar = chart.extreme("highest" in first.turns[0][1])
    if rng.random() < 0.7:
        second = (rng.choice(("What is its value?", "And what is its value?", "How high is it?")), f"It has the value {bar.value}.")
    else:
        second = (rng.choice(("What colour is it?", "And what colour is it?")), f"It is {bar.colour}.")
    return Question("followup", (first.turns[0], second))


ASKERS = {"highest": highest, "value": value, "count": count, "colour": colour, "describe": describe, "yesno": yesno,
          "followup": followup}
