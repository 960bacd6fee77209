"""The truncated tekken vocabulary and Pixtral's chat template.

A plain and fast equivalent of mistral_common for the one shape of request the
training set has: images first, then text, user and assistant in turn.
`tests/` compares it with mistral_common itself.
"""

import json
from base64 import b64decode
from functools import lru_cache
from pathlib import Path

import tiktoken

SPECIAL_IDS = 1000
ORDINARY_IDS = 1048
"""256 bytes and the 792 most frequent merges: enough for most short English words."""

BOS, EOS, BEGIN_INST, END_INST, IMG, IMG_BREAK, IMG_END = 1, 2, 3, 4, 10, 12, 13


def truncated_tekken(source: Path, image_size: int, patch_size: int) -> dict:
    """The contents of tekken.json cut to `ORDINARY_IDS`, in the layout of Mistral's own file."""
    tekken = json.loads(source.read_text(encoding="utf-8"))
    config = dict(tekken["config"])
    config["num_vocab_tokens"] = ORDINARY_IDS
    config["default_vocab_size"] = SPECIAL_IDS + ORDINARY_IDS
    config["default_num_special_tokens"] = SPECIAL_IDS
    return {
        "config": config,
        "vocab": tekken["vocab"][:ORDINARY_IDS],
        "image": {"image_patch_size": patch_size, "max_image_size": image_size},
    }


class Vocabulary:
    """Text to ids and back, from a truncated tekken.json."""

    def __init__(self, path: Path):
        tekken = json.loads(path.read_text(encoding="utf-8"))
        ranks = {b64decode(entry["token_bytes"]): entry["rank"] for entry in tekken["vocab"]}
        self._encoding = tiktoken.Encoding("tekken", pat_str=tekken["config"]["pattern"], mergeable_ranks=ranks, special_tokens={})
        self.encode = lru_cache(maxsize=65536)(self._encode)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(rank + SPECIAL_IDS for rank in self._encoding.encode_ordinary(text))

    def decode(self, ids: list[int]) -> str:
        return self._encoding.decode([i - SPECIAL_IDS for i in ids if i >= SPECIAL_IDS])


def image_ids(rows: int, columns: int) -> list[int]:
    """The ids that stand for an image of rows x columns patches."""
    ids = ([IMG] * columns + [IMG_BREAK]) * rows
    ids[-1] = IMG_END
    return ids


def prompt_ids(vocabulary: Vocabulary, grids: list[tuple[int, int]], turns: list[tuple[str, str | None]]) -> list[int]:
    """A whole conversation; an answer of None ends the prompt where the model is to go on."""
    ids = [BOS, BEGIN_INST]
    for grid in grids:
        ids += image_ids(*grid)
    for index, (question, answer) in enumerate(turns):
        if index:
            ids.append(BEGIN_INST)
        ids += (*vocabulary.encode(question), END_INST)
        if answer is not None:
            ids += (*vocabulary.encode(answer), EOS)
    return ids
