"""Greedy answers of one conversation, in f32, for evaluation."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model import Pixtral
from pixels import grid_of, normalised, patches, resized
from vocabulary import EOS, IMG, Vocabulary, prompt_ids

LONGEST_ANSWER = 96


@torch.no_grad()
def encode_images(model: Pixtral, images: Sequence[Image.Image]) -> Tensor:
    """(patches of all images, dim), ready to stand at the places of the [IMG] ids."""
    rows = [torch.zeros(0, model.c.dim)]
    for image in images:
        values = normalised(resized(image, model.c.vision_encoder.image_size).reshape(-1, 3))
        rows.append(_encode_one(model, image, values))
    return torch.cat(rows)


def _encode_one(model: Pixtral, image: Image.Image, values: np.ndarray) -> Tensor:
    height, width = grid_of(*image.size, model.c.vision_encoder.image_size)
    pixels = torch.from_numpy(patches(values.reshape(16 * height, 16 * width, 3))).reshape(1, height * width, -1)
    row = torch.arange(height).repeat_interleave(width).float()[None]
    column = torch.arange(width).repeat(height).float()[None]
    everything = torch.ones(1, height * width, height * width, dtype=torch.bool)
    return model.vision_language_adapter(model.vision_encoder(pixels, row, column, everything))[0]


@torch.no_grad()
def logits(model: Pixtral, ids: list[int], vectors: Tensor) -> Tensor:
    """(length, vocabulary)."""
    tokens = torch.tensor(ids)
    x = model.tok_embeddings(tokens)
    x[tokens == IMG] = vectors
    causal = torch.ones(1, len(ids), len(ids), dtype=torch.bool).tril()
    return model.output(model.decode(x[None], torch.arange(len(ids)).float()[None], causal))[0]


def greedy(model: Pixtral, ids: list[int], vectors: Tensor, draft: list[int]) -> list[int]:
    """The ids that follow, up to and without the end of the answer.

    `draft` is a guess at the answer.  The model checks a whole guess in one
    pass and goes on token by token from the first one that it would not have
    chosen, so the result is that of plain greedy decoding.
    """
    answer: list[int] = []
    while len(answer) < LONGEST_ANSWER:
        best = logits(model, ids + answer + draft, vectors)[len(ids) + len(answer) - 1:].argmax(-1).tolist()
        for token, guess in zip(best, [*draft, None]):
            if token == EOS:
                return answer
            answer.append(token)
            if token != guess:
                break
        draft = []
    return answer


def converse(model: Pixtral, vocabulary: Vocabulary, images: Sequence[Image.Image], questions: Sequence[str],
             drafts: Sequence[str] | None = None) -> list[str]:
    """One answer a question; each later turn sees the model's own earlier answers."""
    vectors = encode_images(model, images)
    grids = [grid_of(*image.size, model.c.vision_encoder.image_size) for image in images]
    turns: list[tuple[str, str | None]] = []
    for question, draft in zip(questions, drafts or [""] * len(questions)):
        ids = prompt_ids(vocabulary, grids, [*turns, (question, None)])
        answer = greedy(model, ids, vectors, list(vocabulary.encode(draft)))
        turns.append((question, vocabulary.decode(answer)))
    return [answer for _, answer in turns]
