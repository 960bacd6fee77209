"""Drawing primitives: palette, anti-aliased shape masks, printed text.

Shape masks are drawn once at four times their size, reduced, and cached:
drawing a scene is then a handful of `Image.paste` calls.
"""

from functools import lru_cache
from math import cos, pi, sin
from random import Random

from PIL import Image, ImageDraw, ImageFont

from scenes.base import Glyph, Picture

COLOURS = {
    "red": (214, 39, 40), "orange": (255, 140, 0), "yellow": (245, 214, 20), "green": (44, 160, 44),
    "blue": (31, 90, 220), "purple": (128, 40, 170), "pink": (255, 130, 190), "brown": (130, 78, 40),
}
COLOUR_NAMES = tuple(COLOURS)
BACKGROUNDS = {"white": (255, 255, 255), "black": (16, 16, 16), "grey": (150, 150, 150), "light blue": (190, 222, 245)}
SHAPES = ("circle", "square", "triangle", "star", "diamond", "heart", "ring", "cross")
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

_OVERSAMPLING = 4


Rgb = tuple[int, int, int]


def random_shade(rng: Random, amount: int = 12) -> Rgb:
    """A small offset to a colour, so that a name stands for a range and not for one value."""
    return rng.randint(-amount, amount), rng.randint(-amount, amount), rng.randint(-amount, amount)


def shaded(rgb: Rgb, shade: Rgb) -> Rgb:
    return tuple(min(255, max(0, channel + offset)) for channel, offset in zip(rgb, shade))


def _polygon(points: list[tuple[float, float]], radius: float) -> list[tuple[float, float]]:
    return [(radius + radius * x, radius + radius * y) for x, y in points]


def _outline(shape: str) -> list[tuple[float, float]]:
    """The corners of a shape in the square from -1 to 1."""
    if shape == "square":
        return [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]
    if shape == "triangle":
        return [(0, -0.95), (0.98, 0.85), (-0.98, 0.85)]
    if shape == "diamond":
        return [(0, -1), (0.75, 0), (0, 1), (-0.75, 0)]
    if shape == "star":
        spikes = range(10)
        return [((1.0 if i % 2 == 0 else 0.42) * sin(pi * i / 5), -(1.0 if i % 2 == 0 else 0.42) * cos(pi * i / 5))
                for i in spikes]
    if shape == "heart":
        steps = [2 * pi * i / 40 for i in range(40)]
        return [(sin(t) ** 3, -(13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)) / 17) for t in steps]
    if shape == "cross":
        a = 0.32
        return [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a)]
    raise ValueError(shape)


@lru_cache(maxsize=None)
def shape_mask(shape: str, radius: int) -> Image.Image:
    """A coverage mask of side 2 * radius."""
    r = radius * _OVERSAMPLING
    mask = Image.new("L", (2 * r, 2 * r), 0)
    draw = ImageDraw.Draw(mask)
    if shape in ("circle", "ring"):
        draw.ellipse((0, 0, 2 * r - 1, 2 * r - 1), fill=255)
        if shape == "ring":
            hole = 0.55 * r
            draw.ellipse((r - hole, r - hole, r + hole, r + hole), fill=0)
    else:
        draw.polygon(_polygon(_outline(shape), r), fill=255)
    return mask.reduce(_OVERSAMPLING)


@lru_cache(maxsize=None)
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's built-in scalable font."""
    return ImageFont.load_default(size)


@lru_cache(maxsize=None)
def _advance(size: int, character: str) -> float:
    return font(size).getlength(character)


@lru_cache(maxsize=16384)
def text_box(size: int, text: str) -> tuple[int, int, int, int]:
    return font(size).getbbox(text)


def draw_text(picture: Picture, text: str, left: int, top: int, size: int, rgb: Rgb, bold: int = 0) -> None:
    """Prints `text` with its ink box at (left, top) and records where each character is."""
    x0, y0, _, y1 = text_box(size, text)
    ImageDraw.Draw(picture.image).text((left - x0, top - y0), text, fill=rgb, font=font(size), stroke_width=bold)
    x, middle = left - x0, top + (y1 - y0) / 2
    for character in text:
        width = _advance(size, character)
        picture.glyphs.append(Glyph(x + width / 2, middle, character))
        x += width


def canvas(width: int, height: int, background: str, shade: Rgb) -> Picture:
    return Picture(Image.new("RGB", (width, height), shaded(BACKGROUNDS[background], shade)))
