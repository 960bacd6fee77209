"""Printed words and numbers, on one or two lines, in several sizes and colours."""

from dataclasses import dataclass
from random import Random

from scenes.base import Question, Scene, one
from scenes.drawing import BACKGROUNDS, COLOUR_NAMES, COLOURS, canvas, draw_text, random_shade, shaded, text_box
from scenes.english import NUMBERS
from scenes.phrases import DESCRIBE, HOW_MANY, READ, WHAT_COLOUR
from scenes.sizes import picture_size
from scenes.words import cased, random_number, random_text, random_word

DARK_INK, LIGHT_INK = (20, 20, 20), (245, 245, 245)


@dataclass(frozen=True)
class Line:
    text: str
    colour: str
    size: int
    left: int
    top: int

    @property
    def kind(self) -> str:
        return "number" if self.text.isdigit() else "word"


@dataclass(frozen=True)
class Sign:
    """All that is true of one picture of printed text."""

    width: int
    height: int
    background: str
    lines: tuple[Line, ...]


def make_sign(rng: Random, texts: list[str] | None = None) -> Sign:
    """A sign with random text, or with `texts`, one a line."""
    width, height = picture_size(rng, 64, 256)
    background = rng.choice(tuple(BACKGROUNDS))
    if texts is None:
        texts = [random_text(rng)] if rng.random() < 0.75 else [random_word(rng), random_number(rng)]
        rng.shuffle(texts)
    band = height // len(texts)
    lines = []
    for index, text in enumerate(texts):
        for size in (rng.randint(14, 40), rng.randint(14, 20), 14):
            x0, y0, x1, y1 = text_box(size, text)
            if x1 - x0 + 4 <= width and y1 - y0 + 4 <= band:
                break
        else:
            return make_sign(rng, texts)
        left = rng.randint(2, width - (x1 - x0) - 2)
        top = rng.randint(band * index + 2, band * (index + 1) - (y1 - y0) - 2)
        colour = rng.choice(COLOUR_NAMES + (("white",) if background == "black" else ("black",)) * 3)
        lines.append(Line(text, colour, size, left, top))
    return Sign(width, height, background, tuple(lines))


def scene_of(rng: Random, sign: Sign) -> Scene:
    picture = canvas(sign.width, sign.height, sign.background, random_shade(rng, 5))
    for line in sign.lines:
        ink = {"black": DARK_INK, "white": LIGHT_INK}.get(line.colour) or shaded(COLOURS[line.colour], random_shade(rng))
        draw_text(picture, line.text, line.left, line.top, line.size, ink, bold=int(rng.random() < 0.3))
    return Scene([picture], {kind: (lambda r, asker=asker: asker(r, sign)) for kind, asker in ASKERS.items()})


def generate(rng: Random) -> Scene:
    return scene_of(rng, make_sign(rng))


def everything(sign: Sign) -> str:
    return " and ".join(f'"{line.text}"' for line in sign.lines)


def read(rng: Random, sign: Sign) -> Question:
    if len(sign.lines) == 2 and rng.random() < 0.5:
        index = rng.randint(0, 1)
        place = ("top", "bottom")[index]
        question = rng.choice(("What is written at the {}?", "What does the {} line say?", "Read the {} line."))
        return one("read", question.format(place), f'The {place} line says "{sign.lines[index].text}".')
    return one("read", rng.choice(READ), f"It says {everything(sign)}.")


def describe(rng: Random, sign: Sign) -> Question:
    parts = [f'the {line.kind} "{line.text}" in {line.colour}' for line in sign.lines]
    return one("describe", rng.choice(DESCRIBE), f"The image shows {' and '.join(parts)} on a {sign.background} background.")


def colour(rng: Random, sign: Sign) -> Question:
    if rng.random() < 0.25:
        return one("colour", rng.choice(WHAT_COLOUR).format("background"), f"The background is {sign.background}.")
    line = rng.choice(sign.lines)
    name = "text" if len(sign.lines) == 1 and rng.random() < 0.6 else line.kind
    if sum(other.kind == line.kind for other in sign.lines) > 1:
        return one("colour", rng.choice(WHAT_COLOUR).format("background"), f"The background is {sign.background}.")
    return one("colour", rng.choice(WHAT_COLOUR).format(name), f"The {name} is {line.colour}.")


def count(rng: Random, sign: Sign) -> Question | None:
    if rng.random() < 0.3:
        return one("count", rng.choice(HOW_MANY).format("shapes"), "There are no shapes.")
    words = [line for line in sign.lines if line.kind == "word"]
    if len(words) != 1:
        return None
    question = rng.choice(("How many letters does the word have?", "How many letters are in the word?"))
    return one("count", question, f"The word has {NUMBERS[len(words[0].text)]} letters.")


def yesno(rng: Random, sign: Sign) -> Question | None:
    line = rng.choice(sign.lines)
    if line.kind == "number" and rng.random() < 0.4:
        even = int(line.text) % 2 == 0
        asked = rng.choice(("even", "odd"))
        answer = "Yes" if even == (asked == "even") else "No"
        return one("yesno", f"Is the number {asked}?", f"{answer}, {line.text} is {'even' if even else 'odd'}.")
    if len(sign.lines) > 1:
        return None
    other = random_number(rng) if line.kind == "number" else cased(rng, rng.choice((line.text.lower(), random_word(rng).lower())))
    asked = line.text if rng.random() < 0.5 else other
    answer = "Yes" if asked == line.text else "No"
    return one("yesno", rng.choice(('Does it say "{}"?', 'Is "{}" written in the image?')).format(asked),
               f'{answer}, it says "{line.text}".')


def followup(rng: Random, sign: Sign) -> Question | None:
    if len(sign.lines) > 1:
        return None
    line = sign.lines[0]
    first = (rng.choice(READ), f'It says "{line.text}".')
    way = rng.random()
    if way < 0.6:
        second = (rng.choice(("What colour is it?", "Which colour is the text?", "And what colour is it?")),
                  f"It is {line.colour}.")
    else:
        second = (rng.choice(("Is it a word or a number?", "Is that a word or a number?")), f"It is a {line.kind}.")
    return Question("followup", (first, second))


ASKERS = {"read": read, "describe": describe, "colour": colour, "count": count, "yesno": yesno, "followup": followup}
