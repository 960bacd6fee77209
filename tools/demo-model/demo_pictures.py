"""Draws the pictures that are bundled with the model: one scene, one chart, one sign, and a pair to compare."""

import argparse
from dataclasses import replace
from pathlib import Path
from random import Random

from scenes import charts, printed
from scenes.charts import Bar, Chart
from scenes.drawing import text_box
from scenes.printed import Line, Sign
from scenes.world import Item, World, paint, with_item

PLAIN = (0, 0, 0)


def scene() -> World:
    items = (
        Item("star", "yellow", 40, 42, 30, PLAIN), Item("circle", "red", 122, 62, 40, PLAIN),
        Item("heart", "pink", 208, 46, 28, PLAIN),
        Item("square", "green", 50, 122, 26, PLAIN),
        Item("triangle", "purple", 172, 124, 30, PLAIN),
    )
    left, _, right, _ = text_box(24, "HELLO")
    return World(256, 192, "light blue", PLAIN, items, "HELLO", "blue", 24, ((256 - (right - left)) // 2, 168))


def chart() -> Chart:
    bars = (Bar("A", 4, "blue"), Bar("B", 7, "orange"), Bar("C", 9, "green"), Bar("D", 2, "purple"))
    return Chart(240, 192, bars, printed_values=False)


def sign() -> Sign:
    return Sign(208, 112, "white", (Line("Garden", "green", 34, 36, 16), Line("2024", "red", 30, 66, 70)))


def pair() -> tuple[World, World]:
    items = (
        Item("circle", "blue", 36, 40, 26, PLAIN), Item("diamond", "orange", 110, 44, 28, PLAIN),
        Item("cross", "red", 48, 112, 24, PLAIN), Item("ring", "purple", 124, 116, 28, PLAIN),
    )
    before = World(160, 160, "white", PLAIN, items)
    return before, with_item(before, 1, replace(items[1], shape="star"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    before, after = pair()
    pictures = {
        "demo.png": paint(scene()), "chart.png": charts.scene_of(Random(1), chart()).pictures[0],
        "sign.png": printed.scene_of(Random(1), sign()).pictures[0],
        "before.png": paint(before), "after.png": paint(after),
    }
    for name, picture in pictures.items():
        picture.image.save(folder / name, optimize=True)


if __name__ == "__main__":
    main()
