"""Scenes to packed training batches.

A document is one scene with several independent dialogues: its images are
encoded once, and each dialogue forms a branch that sees the images and itself
only.  That equals training on separate conversations.
Documents are packed into rows of fixed length, so that every batch has the
same shape.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from pixels import PATCH, patches, resized
from scenes import KINDS, Picture, Question, Scene, dialogues, sample_scene
from scenes.drawing import CHARACTERS, COLOURS, SHAPES
from vocabulary import BEGIN_INST, BOS, END_INST, EOS, IMG, Vocabulary, image_ids

TEXT_ROW, VISION_ROW = 512, 256
QUESTIONS = 5
MISFITS = 6
"""A batch is full when so many documents found no place; they open the next one."""

AUXILIARY_CLASSES = (1 + len(SHAPES) + 1, 1 + len(COLOURS), 1 + len(CHARACTERS), 1 + len(CHARACTERS))
"""Per patch: the shape centred in it, its colour, the character in its left and in its right half; 0 for none."""

_SHAPE_ID = {name: i + 1 for i, name in enumerate((*SHAPES, "bar"))}
_COLOUR_ID = {name: i + 1 for i, name in enumerate(COLOURS)}
_CHARACTER_ID = {name: i + 1 for i, name in enumerate(CHARACTERS)}


@dataclass(frozen=True)
class BatchShape:
    """Rows of text and of patches in a batch, and how many answer tokens it may hold."""

    text_rows: int
    vision_rows: int

    @property
    def answers(self) -> int:
        return self.text_rows * 160


@dataclass
class Document:
    ids: list[int]
    position: list[int]
    branch: list[int]
    answers: list[tuple[int, int]]
    """(index of the token that predicts, number of the question) for each answer token."""
    kinds: list[int]
    """The kind of each question."""
    images: list[np.ndarray]
    auxiliary: list[np.ndarray]


def auxiliary_labels(picture: Picture, rows: int, columns: int) -> np.ndarray:
    """(rows, columns, 4) class ids, see `AUXILIARY_CLASSES`."""
    labels = np.zeros((rows, columns, 4), dtype=np.uint8)
    width, height = picture.image.size
    x_scale, y_scale = columns / width, rows / height
    for mark in picture.landmarks:
        row, column = min(int(mark.y * y_scale), rows - 1), min(int(mark.x * x_scale), columns - 1)
        labels[row, column, 0], labels[row, column, 1] = _SHAPE_ID[mark.shape], _COLOUR_ID[mark.colour]
    for glyph in picture.glyphs:
        row, half = min(int(glyph.y * y_scale), rows - 1), min(int(glyph.x * x_scale * 2), 2 * columns - 1)
        labels[row, half // 2, 2 + half % 2] = _CHARACTER_ID[glyph.character]
    return labels


def make_document(vocabulary: Vocabulary, scene: Scene, dialogues: list[tuple[Question, ...]], image_size: int) -> Document:
    ids, images, auxiliary = [BOS, BEGIN_INST], [], []
    for picture in scene.pictures:
        pixels = resized(picture.image, image_size)
        if pixels.dtype != np.uint8:
            # rounding keeps batches small; the error is far below what the model could notice
            pixels = np.rint(pixels).clip(0, 255).astype(np.uint8)
        images.append(patches(pixels))
        rows, columns = images[-1].shape[:2]
        auxiliary.append(auxiliary_labels(picture, rows, columns))
        ids += image_ids(rows, columns)
    prefix = len(ids)
    document = Document(ids, list(range(prefix)), [0] * prefix, [], [], images, auxiliary)
    for branch, dialogue in enumerate(dialogues, 1):
        tokens, answers, kinds = [], [], []
        for question in dialogue:
            kinds.append(KINDS.index(question.kind))
            for asked, answer in question.turns:
                tokens += ((BEGIN_INST,) if tokens else ()) + vocabulary.encode(asked) + (END_INST,)
                reply = vocabulary.encode(answer) + (EOS,)
                answers += [(len(tokens) - 1 + i, len(kinds) - 1) for i in range(len(reply))]
                tokens += reply
        if len(ids) + len(tokens) > TEXT_ROW:
            continue
        document.answers += [(len(ids) + index, len(document.kinds) + number) for index, number in answers]
        document.kinds += kinds
        ids += tokens
        document.position += range(prefix, prefix + len(tokens))
        document.branch += [branch] * len(tokens)
    return document


class Packer:
    """Places documents in the rows of one batch."""

    def __init__(self, shape: BatchShape):
        t, v, a = (shape.text_rows, TEXT_ROW), (shape.vision_rows, VISION_ROW), shape.answers
        self.shape = shape
        self.text_used, self.vision_used = [0] * shape.text_rows, [0] * shape.vision_rows
        self.answers_used, self.documents, self.images = 0, 0, 0
        self.arrays = {
            "ids": np.zeros(t, np.int64), "position": np.zeros(t, np.float32),
            "document": np.full(t, -1, np.int32), "branch": np.zeros(t, np.int32),
            "patches": np.zeros((*v, PATCH * PATCH * 3), np.uint8),
            "row": np.zeros(v, np.float32), "column": np.zeros(v, np.float32), "image": np.full(v, -1, np.int32),
            # where in the flattened text rows each patch goes; the last, extra place takes the padding
            "target": np.full(v, shape.text_rows * TEXT_ROW, np.int64),
            "auxiliary": np.zeros((*v, 4), np.uint8), "has_patch": np.zeros(v, np.float32),
            "answer_at": np.arange(a, dtype=np.int64), "answer_id": np.zeros(a, np.int64), "answer_weight": np.zeros(a, np.float32),
            "answer_question": np.zeros(a, np.int64), "kinds": np.full(a, -1, np.int64),
        }
        self.questions = 0

    def add(self, document: Document) -> bool:
        length = len(document.ids)
        row = next((r for r, used in enumerate(self.text_used) if used + length <= TEXT_ROW), None)
        if row is None or self.answers_used + len(document.answers) > self.shape.answers:
            return False
        vision_used, places = list(self.vision_used), []
        for image in document.images:
            count = image.shape[0] * image.shape[1]
            place = next((r for r, used in enumerate(vision_used) if used + count <= VISION_ROW), None)
            if place is None:
                return False
            places.append((place, vision_used[place], count))
            vision_used[place] += count
        self.vision_used = vision_used
        start = self.text_used[row]
        self.text_used[row] += length
        self._write_text(document, row, start)
        self._write_images(document, places, row * TEXT_ROW + start)
        self.documents += 1
        return True

    def _write_text(self, document: Document, row: int, start: int) -> None:
        a, span = self.arrays, slice(start, start + len(document.ids))
        a["ids"][row, span], a["position"][row, span] = document.ids, document.position
        a["document"][row, span], a["branch"][row, span] = self.documents, document.branch
        at, question = np.array(document.answers, dtype=np.int64).T
        used = slice(self.answers_used, self.answers_used + len(at))
        a["answer_at"][used] = row * TEXT_ROW + start + at
        a["answer_id"][used] = np.array(document.ids)[at + 1]
        a["answer_weight"][used] = 1.0
        a["answer_question"][used] = self.questions + question
        a["kinds"][self.questions:self.questions + len(document.kinds)] = document.kinds
        self.answers_used += len(at)
        self.questions += len(document.kinds)

    def _write_images(self, document: Document, places: list[tuple[int, int, int]], text_start: int) -> None:
        a = self.arrays
        targets = text_start + np.flatnonzero(np.array(document.ids) == IMG)
        for image, labels, (row, start, count) in zip(document.images, document.auxiliary, places):
            rows, columns = image.shape[:2]
            span = slice(start, start + count)
            a["patches"][row, span] = image.reshape(count, -1)
            a["row"][row, span] = np.repeat(np.arange(rows), columns)
            a["column"][row, span] = np.tile(np.arange(columns), rows)
            a["image"][row, span], self.images = self.images, self.images + 1
            a["target"][row, span], targets = targets[:count], targets[count:]
            a["auxiliary"][row, span], a["has_patch"][row, span] = labels.reshape(count, 4), 1.0

    def tensors(self) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(array) for name, array in self.arrays.items()}


class SceneBatches(IterableDataset):
    """An endless stream of batches; every worker draws its own scenes."""

    def __init__(self, tekken: Path, shape: BatchShape, image_size: int, seed: str):
        self.tekken, self.shape, self.image_size, self.seed = tekken, shape, image_size, seed

    def __iter__(self):
        worker = get_worker_info()
        rng = Random(f"{self.seed}/{worker.id if worker else 0}")
        vocabulary = Vocabulary(self.tekken)
        left_over: list[Document] = []
        while True:
            packer = Packer(self.shape)
            left_over = [document for document in left_over if not packer.add(document)]
            while len(left_over) < MISFITS:
                scene = sample_scene(rng)
                document = make_document(vocabulary, scene, dialogues(rng, scene, QUESTIONS), self.image_size)
                if document.kinds and not packer.add(document):
                    left_over.append(document)
            yield packer.tensors()
