"""Answers an evaluation set with the PyTorch model, in f32 on the bf16 weights of the file.

    python evaluate.py ../pixtral/demo ../pixtral/demo/eval/demo.jsonl --answers answers.jsonl
"""

import argparse
from pathlib import Path

import torch

import checkpoint
from evaluation_set import read_examples
from generate import converse
from scoring import print_table, write_answers
from vocabulary import Vocabulary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--answers", type=Path, help="write the answers here, one JSON object a line")
    options = parser.parse_args()
    torch.set_num_threads(1)  # the model is too small for threads to pay on a busy machine
    model, vocabulary = checkpoint.load(options.checkpoint), Vocabulary(options.checkpoint / checkpoint.TEKKEN)
    examples, answers = read_examples(options.dataset), {}
    for example in examples:
        questions, accepted = zip(*example.turns)
        answers[example.id] = converse(model, vocabulary, example.pictures(), questions, drafts=[each[0] for each in accepted])
    print_table(examples, answers)
    if options.answers:
        write_answers(options.answers, answers)


if __name__ == "__main__":
    main()
