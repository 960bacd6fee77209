"""Checks of the generator, of the template and preprocessing against mistral_common, and of the packed model."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from mistral_common.protocol.instruct.chunk import ImageChunk, TextChunk
from mistral_common.protocol.instruct.messages import AssistantMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

import export
import generate
import scenes
from data import BatchShape, Packer, make_document
from model import Config, Pixtral, initialise
from pixels import grid_of, normalised, resized
from scenes import shapes
from scenes.drawing import COLOURS
from scenes.english import NUMBERS, plural
from scenes.world import make_world
from train import Trainee, visible_text
from vocabulary import EOS, Vocabulary, prompt_ids, truncated_tekken

ROOT = Path(__file__).parents[1]
IMAGE_SIZE = Config().vision_encoder.image_size


@pytest.fixture(scope="session")
def tekken(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tekken.json"
    path.write_text(json.dumps(truncated_tekken(export.SOURCE, IMAGE_SIZE, 16)))
    return path


@pytest.fixture(scope="session")
def vocabulary(tekken) -> Vocabulary:
    return Vocabulary(tekken)


def drawn(seed: int, count: int, family: str | None = None):
    rng = Random(seed)
    for _ in range(count):
        scene = scenes.sample_scene(rng, family)
        yield scene, scenes.ask_many(rng, scene, 5)


def test_the_same_seed_draws_the_same_scenes():
    for (a, asked_a), (b, asked_b) in zip(drawn(1, 50), drawn(1, 50)):
        assert asked_a == asked_b
        assert [p.image.tobytes() for p in a.pictures] == [p.image.tobytes() for p in b.pictures]


def test_scenes_do_not_depend_on_the_hash_seed():
    code = ("from random import Random; import hashlib, scenes; rng = Random(8); digest = hashlib.sha256()\n"
            "for _ in range(60): [digest.update(p.image.tobytes()) for p in scenes.sample_scene(rng).pictures]\n"
            "print(digest.hexdigest())")
    run = [subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, check=True,
                          capture_output=True, text=True).stdout for seed in "12"]
    assert run[0] == run[1]


def test_every_kind_is_asked_and_answers_are_sentences():
    kinds = set()
    for _, questions in drawn(2, 1500):
        for question in questions:
            kinds.add(question.kind)
            for asked, answer in question.turns:
                assert asked and answer[0].isupper() | answer[0].isdigit() and answer[-1] in '."!', answer
    assert kinds == set(scenes.KINDS)


def test_answers_agree_with_the_shapes_drawn():
    rng = Random(3)
    for _ in range(500):
        world = make_world(rng)
        question = shapes.count(rng, world)
        number, noun = re.search(r"There (?:is|are) (\w+) (.*)\.$", question.turns[0][1]).groups()
        said = {(item.shape, item.colour): {form(name) for name in (item.shape, item.name, "shape", f"{item.colour} shape")
                                            for form in (str, plural)} for item in world.items}
        matching = [item for item in world.items if noun in said[item.shape, item.colour]]
        assert NUMBERS.index(number) == len(matching)
        asked = shapes.relation(rng, world)
        if asked and "Nothing" not in asked.turns[0][1] and "left of" in asked.turns[0][1]:
            found, pivot = asked.turns[0][1].split(" left of the ")
            edge = next(i.x for i in world.unique() if pivot[:-1] in (i.shape, i.name))
            named = [item for item in world.items if item.name in found]
            assert named and all(item.x < edge for item in named if item in world.unique())


def test_pictures_show_the_colour_named():
    for scene, _ in drawn(4, 50, "shapes"):
        picture = scene.pictures[0]
        for mark in picture.landmarks:
            if mark.shape in ("circle", "square", "diamond", "cross", "star", "heart"):
                pixel = picture.image.getpixel((int(mark.x), int(mark.y)))
                assert np.abs(np.subtract(pixel, COLOURS[mark.colour])).max() <= 12


def test_template_and_pixels_equal_mistral_common(tekken, vocabulary):
    reference = MistralTokenizer.from_file(str(tekken))
    for scene, questions in drawn(5, 300):
        images = [picture.image for picture in scene.pictures]
        for question in questions[:2]:
            content = [ImageChunk(image=image) for image in images] + [TextChunk(text=question.turns[0][0])]
            messages = [UserMessage(content=content)]
            for (_, answer), (following, _) in zip(question.turns, question.turns[1:]):
                messages += [AssistantMessage(content=answer), UserMessage(content=following)]
            expected = reference.encode_chat_completion(ChatCompletionRequest(messages=messages))
            grids = [grid_of(*image.size, IMAGE_SIZE) for image in images]
            turns = [*question.turns[:-1], (question.turns[-1][0], None)]
            assert prompt_ids(vocabulary, grids, turns) == expected.tokens
            for image, pixels in zip(images, expected.images):
                assert np.array_equal(normalised(resized(image, IMAGE_SIZE)).transpose(2, 0, 1), pixels)


def test_checkpoint_fits_every_k_quant_and_sixteen_megabytes():
    model = Pixtral(Config())
    assert 2 * sum(p.numel() for p in model.parameters()) < 16_000_000
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            assert parameter[0].numel() % 256 == 0, name
    assert model.c.head_dim != model.c.dim // model.c.n_heads


def test_a_packed_branch_equals_the_conversation_alone(vocabulary):
    model = Pixtral(Config())
    initialise(model, seed=7)
    trainee = Trainee(model)
    rng, packer, kept = Random(6), Packer(BatchShape(3, 3)), []
    while len(kept) < 4:
        scene = scenes.sample_scene(rng)
        talks = scenes.dialogues(rng, scene, 4)
        if all(size % 16 == 0 for p in scene.pictures for size in p.image.size):
            if packer.add(make_document(vocabulary, scene, talks, IMAGE_SIZE)):
                kept.append((scene, talks))
    batch = packer.tensors()
    packed, _ = trainee(batch, torch.float32)
    start = 0
    for scene, talks in kept:
        images = [picture.image for picture in scene.pictures]
        vectors = generate.encode_images(model, images)
        for talk in talks:
            turns = [turn for question in talk for turn in question.turns]
            ids, at = prompt_ids(vocabulary, [grid_of(*i.size, IMAGE_SIZE) for i in images], turns), 0
            alone = generate.logits(model, ids, vectors)
            for _, answer in turns:
                reply = [*vocabulary.encode(answer), EOS]
                at = next(i for i in range(at + 1, len(ids)) if ids[i:i + len(reply)] == reply)
                expected = alone[at - 1:at - 1 + len(reply)]
                torch.testing.assert_close(packed[start:start + len(reply)], expected, atol=2e-4, rtol=1e-3)
                start += len(reply)
    assert start == int(batch["answer_weight"].sum())
    assert visible_text(batch).diagonal(dim1=1, dim2=2).all()
