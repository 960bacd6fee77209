"""A picture of coloured shapes: what is true of it, how it is made up and how it is painted."""

from dataclasses import dataclass, replace
from random import Random

from scenes.base import Landmark, Picture
from scenes.drawing import (
    BACKGROUNDS,
    COLOUR_NAMES,
    COLOURS,
    SHAPES,
    Rgb,
    canvas,
    draw_text,
    random_shade,
    shaded,
    shape_mask,
    text_box,
)
from scenes.sizes import picture_size
from scenes.words import random_text

MAX_SHAPES = 6

REGIONS = (
    ("in the top left", "at the top", "in the top right"),
    ("on the left", "in the centre", "on the right"),
    ("in the bottom left", "at the bottom", "in the bottom right"),
)


@dataclass(frozen=True)
class Item:
    """One shape; x and y are its centre in pixels."""

    shape: str
    colour: str
    x: int
    y: int
    radius: int
    shade: Rgb

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class World:
    """All that is true of one picture of shapes."""

    width: int
    height: int
    background: str
    shade: Rgb
    items: tuple[Item, ...]
    label: str | None = None
    label_colour: str = "red"
    label_size: int = 0
    label_at: tuple[int, int] = (0, 0)

    def unique(self) -> list[Item]:
        """Items that colour and shape name without doubt."""
        names = [item.name for item in self.items]
        return [item for item in self.items if names.count(item.name) == 1]

    def unique_shape(self) -> list[Item]:
        shapes = [item.shape for item in self.items]
        return [item for item in self.items if shapes.count(item.shape) == 1]

    def unique_colour(self) -> list[Item]:
        colours = [item.colour for item in self.items]
        return [item for item in self.items if colours.count(item.colour) == 1]

    def region(self, item: Item) -> str | None:
        """The ninth of the picture the item is in; None when its centre is near a border line."""
        column, row = _third(item.x / self.width), _third(item.y / self.height)
        return None if column is None or row is None else REGIONS[row][column]

    def extreme(self, largest: bool) -> Item | None:
        """The clearly largest or smallest item."""
        if len(self.items) < 2:
            return None
        ordered = sorted(self.items, key=lambda item: item.radius, reverse=largest)
        big, small = (ordered[0], ordered[1]) if largest else (ordered[1], ordered[0])
        return ordered[0] if big.radius >= 1.25 * small.radius else None


def _third(fraction: float) -> int | None:
    nearest = min(abs(fraction - 1 / 3), abs(fraction - 2 / 3))
    return None if nearest < 0.035 else int(fraction * 3)


Spot = tuple[int, int, int]


def place(rng: Random, width: int, height: int, items: list[Item], blocked: tuple[int, int] = (0, 0)) -> Spot | None:
    """A free spot (x, y, radius); `blocked` is a band of rows kept free for text."""
    top, bottom = blocked
    limit = min(width, height - (bottom - top))
    for _ in range(20):
        radius = rng.randint(8, max(9, min(44, limit * 2 // 7)))
        x = rng.randint(radius + 1, max(radius + 1, width - radius - 1))
        y = rng.randint(radius + 1, max(radius + 1, height - radius - 1))
        if x + radius > width or y + radius > height or (y + radius > top and y - radius < bottom):
            continue
        if all((x - other.x) ** 2 + (y - other.y) ** 2 > (radius + other.radius + 3) ** 2 for other in items):
            return x, y, radius
    return None


def make_world(rng: Random, smallest: int = 64, largest: int = 256, label_rate: float = 0.15, most: int = MAX_SHAPES) -> World:
    width, height = picture_size(rng, smallest, largest)
    label, colour, size, at, blocked = None, "red", 0, (0, 0), (0, 0)
    if rng.random() < label_rate and height >= 96:
        label, colour, size = random_text(rng), rng.choice(COLOUR_NAMES), rng.randint(14, 24)
        x0, y0, x1, y1 = text_box(size, label)
        if x1 - x0 + 4 > width:
            label = None
        else:
            top = 3 if rng.random() < 0.5 else height - (y1 - y0) - 4
            at = (rng.randint(2, width - (x1 - x0) - 2), top)
            blocked = (top - 3, top + (y1 - y0) + 3)
    shapes = rng.sample(SHAPES, rng.choice((1, 2, 3, 8, 8)))
    colours = rng.sample(COLOUR_NAMES, rng.choice((2, 3, 8, 8)))
    items: list[Item] = []
    for _ in range(rng.randint(1, most)):
        spot = place(rng, width, height, items, blocked)
        if spot is None:
            break
        items.append(Item(rng.choice(shapes), rng.choice(colours), *spot, random_shade(rng)))
    if not items:
        return make_world(rng, smallest, largest, label_rate, most)
    return World(width, height, rng.choice(tuple(BACKGROUNDS)), random_shade(rng, 5), tuple(items), label, colour, size, at)


def paint(world: World) -> Picture:
    picture = canvas(world.width, world.height, world.background, world.shade)
    for item in world.items:
        mask = shape_mask(item.shape, item.radius)
        picture.image.paste(shaded(COLOURS[item.colour], item.shade), (item.x - item.radius, item.y - item.radius), mask)
        picture.landmarks.append(Landmark(item.x, item.y, item.shape, item.colour))
    if world.label is not None:
        draw_text(picture, world.label, *world.label_at, world.label_size, COLOURS[world.label_colour])
    return picture


def with_item(world: World, index: int, item: Item | None) -> World:
    """The world with one item replaced, or removed when `item` is None."""
    items = list(world.items)
    items[index:index + 1] = [] if item is None else [item]
    return replace(world, items=tuple(items))
