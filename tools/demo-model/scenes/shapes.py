"""Questions about coloured shapes on a plain background, sometimes with a printed word."""

from random import Random

from scenes.base import Question, Scene, one
from scenes.drawing import COLOUR_NAMES, SHAPES
from scenes.english import NUMBERS, article, listing, plural, there_are
from scenes.phrases import DESCRIBE, HOW_MANY, READ, WHAT_COLOUR, WHERE
from scenes.world import Item, World, make_world, paint


def scene_of(world: World) -> Scene:
    return Scene([paint(world)], {kind: (lambda r, asker=asker: asker(r, world)) for kind, asker in ASKERS.items()})


def generate(rng: Random) -> Scene:
    return scene_of(make_world(rng))


def describe(rng: Random, world: World) -> Question | None:
    ordered = sorted(world.items, key=lambda item: item.x)
    if len(ordered) > 5 or any(b.x - a.x < 6 for a, b in zip(ordered, ordered[1:])):
        return None
    things = listing([article(item.name) for item in ordered])
    answer = (f"There is {things} on a {world.background} background." if len(ordered) == 1 else
              f"There are {NUMBERS[len(ordered)]} shapes on a {world.background} background: {things}.")
    if world.label is not None:
        answer += f' The text says "{world.label}".'
    return one("describe", rng.choice(DESCRIBE), answer)


def count_of(rng: Random, world: World) -> tuple[str, int]:
    """A thing to count and how often it is there; absent things are asked for too."""
    shape = rng.choice(world.items).shape if rng.random() < 0.8 else rng.choice(SHAPES)
    colour = rng.choice(world.items).colour if rng.random() < 0.85 else rng.choice(COLOUR_NAMES)
    way = rng.random()
    if way < 0.3:
        return "shape", len(world.items)
    if way < 0.65:
        return shape, sum(item.shape == shape for item in world.items)
    if way < 0.9:
        return f"{colour} shape", sum(item.colour == colour for item in world.items)
    return f"{colour} {shape}", sum(item.name == f"{colour} {shape}" for item in world.items)


def count(rng: Random, world: World) -> Question:
    noun, number = count_of(rng, world)
    return one("count", rng.choice(HOW_MANY).format(plural(noun)), there_are(number, noun) + ".")


def colour(rng: Random, world: World) -> Question | None:
    if world.label is not None and rng.random() < 0.3:
        return one("colour", rng.choice(WHAT_COLOUR).format("text"), f"The text is {world.label_colour}.")
    candidates = world.unique_shape()
    if not candidates or rng.random() < 0.1:
        return one("colour", rng.choice(WHAT_COLOUR).format("background"), f"The background is {world.background}.")
    item = rng.choice(candidates)
    return one("colour", rng.choice(WHAT_COLOUR).format(item.shape), f"The {item.shape} is {item.colour}.")


def shape(rng: Random, world: World) -> Question | None:
    candidates = world.unique_colour()
    if not candidates:
        return None
    item = rng.choice(candidates)
    question = rng.choice(("What shape is {}?", "Which shape is {}?", "What is the {} shape?", "What shape is the {} object?",
                           "What kind of shape is the {} one?"))
    return one("shape", question.format(item.colour), f"The {item.colour} shape is {article(item.shape)}.")


def size(rng: Random, world: World) -> Question | None:
    largest = rng.random() < 0.6
    item = world.extreme(largest)
    if item is None:
        return None
    word = rng.choice(("largest", "biggest")) if largest else "smallest"
    said = "largest" if largest else "smallest"
    if rng.random() < 0.5:
        return one("size", rng.choice(WHAT_COLOUR).format(f"{word} shape"), f"The {said} shape is {item.colour}.")
    question = rng.choice(("What is the {} shape?", "Which shape is the {}?", "Which is the {} shape?"))
    return one("size", question.format(word), f"The {said} shape is {article(item.name)}.")


def reference(rng: Random, world: World, item: Item) -> str:
    """'star' where that is enough, else 'red star'."""
    enough = item in world.unique_shape()
    return item.shape if enough and rng.random() < 0.6 else item.name


def position(rng: Random, world: World) -> Question | None:
    candidates = [item for item in world.unique() if world.region(item)]
    if not candidates:
        return None
    item = rng.choice(candidates)
    name = reference(rng, world, item)
    return one("position", rng.choice(WHERE).format(name), f"The {name} is {world.region(item)}.")


DIRECTIONS = {
    "left of": (lambda item: item.x, -1), "right of": (lambda item: item.x, 1),
    "above": (lambda item: item.y, -1), "below": (lambda item: item.y, 1),
}
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def relation(rng: Random, world: World) -> Question | None:
    """What lies on one side of an item; asked only where no other item is near the dividing line."""
    candidates = world.unique()
    if len(world.items) < 2 or not candidates:
        return None
    item, direction = rng.choice(candidates), rng.choice(tuple(DIRECTIONS))
    coordinate, sign = DIRECTIONS[direction]
    distances = [(sign * (coordinate(other) - coordinate(item)), other) for other in world.items if other is not item]
    found = sorted((other for distance, other in distances if distance > 0), key=lambda other: other.x)
    clear = all(abs(distance) >= 7 for distance, _ in distances)
    ordered = all(b.x - a.x >= 6 for a, b in zip(found, found[1:]))
    named = len({other.name for other in found}) == len(found)
    if not clear or not ordered or not named or len(found) > 2:
        return None
    name = reference(rng, world, item)
    asked = "to the " + direction if direction in ("left of", "right of") and rng.random() < 0.5 else direction
    question = rng.choice(("What is {} the {}?", "Which shapes are {} the {}?", "What do you see {} the {}?")).format(asked, name)
    if not found:
        return one("relation", question, f"Nothing is {direction} the {name}.")
    things = listing([f"the {other.name}" for other in found])
    verb = "is" if len(found) == 1 else "are"
    return one("relation", question, f"{things[0].upper()}{things[1:]} {verb} {direction} the {name}.")


def read(rng: Random, world: World) -> Question | None:
    if world.label is None:
        return one("read", rng.choice(READ), "There is no text in the image.") if rng.random() < 0.1 else None
    return one("read", rng.choice(READ), f'It says "{world.label}".')


def _exists(rng: Random, world: World) -> Question:
    if rng.random() < 0.5:
        name = rng.choice(world.items).name
    else:
        name = f"{rng.choice((rng.choice(world.items).colour, rng.choice(COLOUR_NAMES)))} " \
               f"{rng.choice((rng.choice(world.items).shape, rng.choice(SHAPES)))}"
    found = any(item.name == name for item in world.items)
    question = rng.choice(("Is there {}?", "Can you see {}?", "Do you see {}?", "Is there {} in the image?")).format(article(name))
    return one("yesno", question, f"Yes, there is {article(name)}." if found else f"No, there is no {name}.")


def _attribute(rng: Random, world: World) -> Question | None:
    candidates = world.unique_shape()
    if not candidates:
        return None
    item = rng.choice(candidates)
    asked = item.colour if rng.random() < 0.5 else rng.choice(COLOUR_NAMES)
    answer = "Yes" if asked == item.colour else "No"
    return one("yesno", f"Is the {item.shape} {asked}?", f"{answer}, the {item.shape} is {item.colour}.")


def _pair(rng: Random, world: World) -> tuple[Item, Item] | None:
    candidates = world.unique_shape()
    return tuple(rng.sample(candidates, 2)) if len(candidates) >= 2 else None


def _larger(rng: Random, world: World) -> Question | None:
    pair = _pair(rng, world)
    if pair is None:
        return None
    a, b = pair
    if max(a.radius, b.radius) < 1.25 * min(a.radius, b.radius):
        return None
    asked, true = rng.choice(("larger", "smaller")), "larger" if a.radius > b.radius else "smaller"
    return one("yesno", f"Is the {a.shape} {asked} than the {b.shape}?",
               f"{'Yes' if asked == true else 'No'}, the {a.shape} is {true} than the {b.shape}.")


def _beside(rng: Random, world: World) -> Question | None:
    pair = _pair(rng, world)
    if pair is None:
        return None
    a, b = pair
    asked = rng.choice(tuple(DIRECTIONS))
    coordinate, sign = DIRECTIONS[asked]
    distance = sign * (coordinate(a) - coordinate(b))
    if abs(distance) < 8:
        return None
    true = asked if distance > 0 else OPPOSITE[asked]
    return one("yesno", f"Is the {a.shape} {asked} the {b.shape}?",
               f"{'Yes' if asked == true else 'No'}, the {a.shape} is {true} the {b.shape}.")


def yesno(rng: Random, world: World) -> Question | None:
    return rng.choice((_exists, _exists, _attribute, _larger, _beside))(rng, world)


def followup(rng: Random, world: World) -> Question | None:
    """Two turns, the second one leaning on the first."""
    way = rng.random()
    if way < 0.4:
        first, item = size(rng, world), None
        if first is None:
            return None
        item = world.extreme("largest" in first.turns[0][1])
        if world.region(item) and rng.random() < 0.6:
            second = (rng.choice(("Where is it?", "And where is it?", "Where is that shape?")), f"It is {world.region(item)}.")
        elif item.colour not in first.turns[0][1]:
            second = (rng.choice(("What colour is it?", "And what colour is it?")), f"It is {item.colour}.")
        else:
            second = (rng.choice(("What shape is it?", "And what shape is it?")), f"It is {article(item.shape)}.")
    elif way < 0.6:
        first = one("count", rng.choice(HOW_MANY).format("shapes"), there_are(len(world.items), "shape") + ".")
        asked = rng.choice(world.items).colour if rng.random() < 0.8 else rng.choice(COLOUR_NAMES)
        number = sum(item.colour == asked for item in world.items)
        word = "None" if number == 0 else NUMBERS[number].capitalize()
        second = (rng.choice(("How many of them are {}?", "And how many are {}?")).format(asked),
                  f"{word} of them {'is' if number == 1 else 'are'} {asked}.")
    else:
        pair = _pair(rng, world)
        if pair is None:
            return None
        a, b = pair
        first = one("colour", rng.choice(WHAT_COLOUR).format(a.shape), f"The {a.shape} is {a.colour}.")
        if world.region(a) and rng.random() < 0.5:
            second = (rng.choice(("Where is it?", "And where is it?")), f"It is {world.region(a)}.")
        else:
            second = (rng.choice(("And the {}?", "What about the {}?")).format(b.shape), f"The {b.shape} is {b.colour}.")
    return Question("followup", (first.turns[0], second))


ASKERS = {
    "describe": describe, "count": count, "colour": colour, "shape": shape, "size": size, "position": position,
    "relation": relation, "read": read, "yesno": yesno, "followup": followup,
}
