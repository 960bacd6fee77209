"""The evaluation set: its file format, and how the shipped one was drawn.

One JSON object a line, paths relative to the file:

    {"id": "0001", "kind": "count", "images": ["img/0001.png"], "question": "...", "answers": ["..."], "metric": "exact"}

A conversation of several turns has "turns": [{"question": ..., "answers": [...]}, ...] in the place of
"question" and "answers"; it counts as right when every turn is.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image

from scenes import KINDS, Question, Scene, ask_many, printed, sample_scene
from scenes.words import UNSEEN, cased

PER_KIND = 28
UNSEEN_WORDS = "read_unseen"
"""Reading words that no training picture shows."""

CHAT = "chat"
"""Three questions in a row about the same pictures, each about something else."""


@dataclass(frozen=True)
class Example:
    id: str
    kind: str
    images: tuple[Path, ...]
    turns: tuple[tuple[str, tuple[str, ...]], ...]
    """(question, accepted answers) of each turn."""

    def pictures(self) -> list[Image.Image]:
        return [Image.open(path) for path in self.images]

    def right(self, answers: list[str]) -> bool:
        return all(answer in accepted for answer, (_, accepted) in zip(answers, self.turns, strict=True))


def read_examples(path: Path) -> list[Example]:
    examples = []
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        turns = tuple((turn["question"], tuple(turn["answers"])) for turn in entry.get("turns", [entry]))
        examples.append(Example(entry["id"], entry["kind"], tuple(path.parent / name for name in entry["images"]), turns))
    return examples


def _entry(number: int, kind: str, images: list[str], question: Question) -> dict:
    entry = {"id": f"{number:04}", "kind": kind, "images": images}
    turns = [{"question": asked, "answers": [answer]} for asked, answer in question.turns]
    return {**entry, **(turns[0] if len(turns) == 1 else {"turns": turns}), "metric": "exact"}


def _unseen_scenes(rng: Random) -> list[tuple[Scene, list[tuple[str, Question]]]]:
    chosen = []
    for word in rng.sample(UNSEEN, PER_KIND):
        sign = printed.make_sign(rng, [cased(rng, word)])
        chosen.append((printed.scene_of(rng, sign), [(UNSEEN_WORDS, printed.read(rng, sign))]))
    return chosen


def _chat_scenes(rng: Random) -> list[tuple[Scene, list[tuple[str, Question]]]]:
    chosen = []
    while len(chosen) < PER_KIND:
        scene = sample_scene(rng)
        turns = [turn for question in ask_many(rng, scene, 3) for turn in question.turns][:3]
        if scene.pictures and len(turns) == 3:
            chosen.append((scene, [(CHAT, Question(CHAT, tuple(turns)))]))
    return chosen


def draw(seed: str) -> list[tuple[Scene, list[tuple[str, Question]]]]:
    """Scenes with up to two questions each, `PER_KIND` questions of every kind."""
    rng, count, asked_before, chosen = Random(seed), Counter(), set(), []
    while min(count[kind] for kind in KINDS) < PER_KIND:
        scene, picked = sample_scene(rng), []
        for question in ask_many(rng, scene, 8):
            new = scene.pictures or question.turns not in asked_before
            if count[question.kind] < PER_KIND and new and question.kind not in [kind for kind, _ in picked] and len(picked) < 2:
                picked.append((question.kind, question))
                count[question.kind] += 1
                asked_before.add(question.turns)
        if picked:
            chosen.append((scene, picked))
    return chosen + _unseen_scenes(rng) + _chat_scenes(rng)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the evaluation set.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", default="evaluation")
    options = parser.parse_args()
    (options.folder / "img").mkdir(parents=True, exist_ok=True)
    entries, pictures = [], 0
    for scene, questions in draw(options.seed):
        names = []
        for picture in scene.pictures:
            pictures += 1
            names.append(f"img/{pictures:04}.png")
            picture.image.save(options.folder / names[-1], optimize=True)
        entries += [(kind, names, question) for kind, question in questions]
    order = (*KINDS, UNSEEN_WORDS, CHAT)
    entries.sort(key=lambda entry: order.index(entry[0]))
    with open(options.folder / "demo.jsonl", "w", encoding="utf-8") as file:
        for number, (kind, names, question) in enumerate(entries, 1):
            file.write(json.dumps(_entry(number, kind, names, question), ensure_ascii=False) + "\n")
    print(f"{len(entries)} questions on {pictures} pictures")


if __name__ == "__main__":
    main()
