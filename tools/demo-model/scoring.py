"""Files of answers, and what they are worth.

One JSON object a line, as `pixtral eval --answers` writes them: {"id": ...,
"answer": ...}, or "answers" with a list for a conversation of several turns.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from evaluation_set import Example


def write_answers(path: Path, answers: Mapping[str, list[str]]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for name, turns in answers.items():
            answer = {"answer": turns[0]} if len(turns) == 1 else {"answers": turns}
            file.write(json.dumps({"id": name, **answer}, ensure_ascii=False) + "\n")


def read_answers(path: Path) -> dict[str, list[str]]:
    answers = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "id" in entry:  # `pixtral eval` begins with a line about the run
            answers[entry["id"]] = entry.get("answers") or [entry["answer"]]
    return answers


def print_table(examples: list[Example], answers: Mapping[str, list[str]]) -> None:
    """Exact match a kind, and each wrong answer."""
    right, total = Counter(), Counter()
    for example in examples:
        total[example.kind] += 1
        if example.right(answers[example.id]):
            right[example.kind] += 1
        else:
            print(f"{example.id} {example.kind}: {[question for question, _ in example.turns]} "
                  f"gave {answers[example.id]}, expected {[accepted[0] for _, accepted in example.turns]}")
    for kind in total:
        print(f"{kind:12} {right[kind]:4} of {total[kind]:4}  {100 * right[kind] / total[kind]:6.2f} %")
    print(f"{'all':12} {right.total():4} of {total.total():4}  {100 * right.total() / total.total():6.2f} %")
