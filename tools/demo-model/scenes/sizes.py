"""Picture sizes: many patch grids and aspect ratios."""

from random import Random

PATCH = 16


def picture_size(rng: Random, smallest: int, largest: int) -> tuple[int, int]:
    """Width and height; one time in five not a multiple of the patch, so that resizing is seen too."""
    if rng.random() < 0.2:
        return rng.randint(smallest, largest), rng.randint(smallest, largest)
    low, high = -(-smallest // PATCH), largest // PATCH
    return PATCH * rng.randint(low, high), PATCH * rng.randint(low, high)
