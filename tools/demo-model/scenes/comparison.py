"""Two pictures at once: one change between them, or two unrelated pictures."""

from dataclasses import replace
from random import Random

from scenes.base import Question, Scene, one
from scenes.drawing import BACKGROUNDS, COLOUR_NAMES, SHAPES, random_shade
from scenes.english import article, plural, there_are
from scenes.phrases import HOW_MANY, WHAT_COLOUR
from scenes.shapes import count_of
from scenes.world import Item, World, make_world, paint, place, with_item

LARGEST_SIDE = 160
ASK = ("What changed?", "What is different?", "What changed between the two images?", "What is the difference?",
       "What is the difference between the images?", "What has changed?")


def _recoloured(rng: Random, world: World, index: int) -> tuple[World, str]:
    item = world.items[index]
    new = rng.choice([name for name in COLOUR_NAMES if name != item.colour])
    return with_item(world, index, replace(item, colour=new)), f"The {item.name} became {new}."


def _reshaped(rng: Random, world: World, index: int) -> tuple[World, str]:
    item = world.items[index]
    new = rng.choice([name for name in SHAPES if name != item.shape])
    return with_item(world, index, replace(item, shape=new)), f"The {item.name} became {article(new)}."


def _removed(rng: Random, world: World, index: int) -> tuple[World, str] | None:
    if len(world.items) < 2:
        return None
    return with_item(world, index, None), f"The {world.items[index].name} was removed."


def _added(rng: Random, world: World, index: int) -> tuple[World, str] | None:
    spot = place(rng, world.width, world.height, list(world.items))
    if spot is None:
        return None
    item = Item(rng.choice(SHAPES), rng.choice(COLOUR_NAMES), *spot, random_shade(rng))
    name = article(item.name)
    return replace(world, items=world.items + (item,)), f"{name[0].upper()}{name[1:]} was added."


def _shifted(rng: Random, world: World, index: int) -> tuple[World, str] | None:
    item = world.items[index]
    spot = place(rng, world.width, world.height, list(world.items))
    if spot is None:
        return None
    there = replace(item, x=spot[0], y=spot[1])
    inside = item.radius <= min(spot[0], world.width - spot[0], spot[1], world.height - spot[1])
    clear = all((there.x - other.x) ** 2 + (there.y - other.y) ** 2 > (item.radius + other.radius + 2) ** 2
                for other in world.items if other is not item)
    region = world.region(there)
    if not inside or not clear or region is None or region == world.region(item):
        return None
    where = {"in the": "to the", "on the": "to the", "at the": "to the"}[region[:6]] + region[6:]
    return with_item(world, index, there), f"The {item.name} moved {where}."


def _shrunk(rng: Random, world: World, index: int) -> tuple[World, str] | None:
    item = world.items[index]
    radius = item.radius * 3 // 5
    if radius < 8:
        return None
    return with_item(world, index, replace(item, radius=radius)), f"The {item.name} became smaller."


def _background(rng: Random, world: World, index: int) -> tuple[World, str]:
    new = rng.choice([name for name in BACKGROUNDS if name != world.background])
    return replace(world, background=new), f"The background became {new}."


def _nothing(rng: Random, world: World, index: int) -> tuple[World, str]:
    return world, "Nothing changed."


CHANGES = (_recoloured, _recoloured, _reshaped, _reshaped, _removed, _removed, _added, _added, _shifted, _shifted, _shrunk,
           _background, _nothing)


def _changed_pair(rng: Random) -> tuple[World, World, str]:
    while True:
        before = make_world(rng, 64, LARGEST_SIDE, label_rate=0.0, most=5)
        index = before.items.index(rng.choice(before.unique() or before.items))
        if before.items[index] not in before.unique():
            continue
        change = rng.choice(CHANGES)(rng, before, index)
        if change is not None:
            return before, *change


def generate(rng: Random) -> Scene:
    if rng.random() < 0.75:
        before, after, sentence = _changed_pair(rng)
        return Scene([paint(before), paint(after)], {
            "changed": lambda r: one("changed", r.choice(ASK), sentence),
            "two_images": lambda r: two_images(r, before, after),
        })
    first = make_world(rng, 64, LARGEST_SIDE, label_rate=0.0)
    second = make_world(rng, 64, LARGEST_SIDE, label_rate=0.0)
    return Scene([paint(first), paint(second)], {"two_images": lambda r: two_images(r, first, second)})


def two_images(rng: Random, first: World, second: World) -> Question | None:
    way = rng.random()
    if way < 0.3:
        a, b = len(first.items), len(second.items)
        answer = ("Both images have the same number of shapes." if a == b else
                  f"The {'first' if a > b else 'second'} image has more shapes.")
        return one("two_images", rng.choice(("Which image has more shapes?", "Which image shows more shapes?",
                                             "In which image are there more shapes?")), answer)
    index = rng.randint(0, 1)
    world, which = (first, second)[index], ("first", "second")[index]
    if way < 0.65:
        noun, number = count_of(rng, world)
        question = rng.choice(HOW_MANY[:2]).format(plural(noun)).replace("?", f" in the {which} image?")
        return one("two_images", question, there_are(number, noun) + f" in the {which} image.")
    candidates = world.unique_shape()
    if not candidates:
        return None
    item = rng.choice(candidates)
    return one("two_images", rng.choice(WHAT_COLOUR).format(f"{item.shape} in the {which} image"),
               f"The {item.shape} in the {which} image is {item.colour}.")
