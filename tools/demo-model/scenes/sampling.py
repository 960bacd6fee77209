"""Which scenes and which questions, and how often."""

from random import Random

from scenes import charts, comparison, language, printed, shapes
from scenes.base import Question, Scene, one

FAMILIES = {
    "shapes": (shapes.generate, 0.34),
    "printed": (printed.generate, 0.24),
    "charts": (charts.generate, 0.16),
    "comparison": (comparison.generate, 0.22),
    "language": (language.generate, 0.04),
}
"""How to make a scene of each family, and its share of the training set."""

WEIGHTS = {
    "describe": 1.5, "count": 1.5, "relation": 1.5, "read": 2.0, "position": 1.2, "yesno": 1.2, "value": 1.5, "changed": 2.0,
}
"""How often a kind is asked among those a scene offers; 1 where not named."""

SINGLE_SHARE = 0.5
"""How many dialogues are one question long; the others have two to four."""

ASIDE_SHARE = 0.06
"""How often a question that has nothing to do with the pictures comes up in a longer dialogue."""


def sample_scene(rng: Random, family: str | None = None) -> Scene:
    if family is None:
        names = tuple(FAMILIES)
        family = rng.choices(names, [FAMILIES[name][1] for name in names])[0]
    return FAMILIES[family][0](rng)


def ask_many(rng: Random, scene: Scene, count: int) -> list[Question]:
    """Up to `count` different questions about a scene."""
    kinds = tuple(scene.askers)
    weights = [WEIGHTS.get(kind, 1.0) for kind in kinds]
    found: dict[str, Question] = {}
    for kind in rng.choices(kinds, weights, k=2 * count):
        question = scene.ask(kind, rng)
        if question is not None:
            found.setdefault(question.turns[0][0], question)
        if len(found) == count:
            break
    return list(found.values())


def dialogues(rng: Random, scene: Scene, count: int) -> list[tuple[Question, ...]]:
    """`count` questions or a few less, cut into independent dialogues about one scene."""
    questions, result = ask_many(rng, scene, count), []
    rng.shuffle(questions)
    while questions:
        length = 1 if rng.random() < SINGLE_SHARE else rng.randint(2, 4)
        dialogue, questions = questions[:length], questions[length:]
        if length > 1 and scene.pictures and rng.random() < length * ASIDE_SHARE:
            dialogue.insert(rng.randint(0, len(dialogue)), one("text", *language.knowledge(rng)))
        result.append(tuple(dialogue))
    return result
