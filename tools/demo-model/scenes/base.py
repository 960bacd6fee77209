"""The types that every family of scenes shares."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from PIL import Image

KINDS = (
    "describe", "count", "colour", "shape", "size", "position", "relation", "read",
    "yesno", "highest", "value", "changed", "two_images", "followup", "text",
)
"""Every question kind, in the order used for reports and for numbering."""


@dataclass(frozen=True)
class Question:
    """One conversation: `turns` holds (question, answer) pairs."""

    kind: str
    turns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Landmark:
    """Where something was drawn, for the auxiliary training loss only."""

    x: float
    y: float
    shape: str
    colour: str


@dataclass(frozen=True)
class Glyph:
    """Where one printed character was drawn, for the auxiliary training loss only."""

    x: float
    y: float
    character: str


@dataclass
class Picture:
    image: Image.Image
    landmarks: list[Landmark] = field(default_factory=list)
    glyphs: list[Glyph] = field(default_factory=list)


Asker = Callable[[Random], Question | None]


@dataclass
class Scene:
    """Zero, one or two pictures and the kinds of question they can answer."""

    pictures: list[Picture]
    askers: dict[str, Asker]

    def ask(self, kind: str, rng: Random) -> Question | None:
        return self.askers[kind](rng)


def one(kind: str, question: str, answer: str) -> Question:
    """A conversation of a single turn."""
    return Question(kind, ((question, answer),))
