"""Image to patches, as mistral_common does it: size rule, bicubic resize, normalisation."""

import cv2
import numpy as np
from PIL import Image

PATCH = 16
MEAN = np.array((0.48145466, 0.4578275, 0.40821073), dtype=np.float32)
STD = np.array((0.26862954, 0.26130258, 0.27577711), dtype=np.float32)

cv2.setNumThreads(1)


def grid_of(width: int, height: int, image_size: int) -> tuple[int, int]:
    """Rows and columns of patches of a picture."""
    ratio = max(height / image_size, width / image_size)
    if ratio > 1:
        width, height = round(width / ratio), round(height / ratio)
    return (max(height, 1) - 1) // PATCH + 1, (max(width, 1) - 1) // PATCH + 1


def resized(image: Image.Image, image_size: int) -> np.ndarray:
    """(16 * rows, 16 * columns, 3) values from 0 to 255: uint8 where nothing had to be resized, else float32."""
    rows, columns = grid_of(*image.size, image_size)
    pixels = np.asarray(image)
    if pixels.shape[:2] == (rows * PATCH, columns * PATCH):
        return pixels
    return cv2.resize(pixels.astype(np.float32), (columns * PATCH, rows * PATCH), interpolation=cv2.INTER_CUBIC)


def patches(pixels: np.ndarray) -> np.ndarray:
    """(rows, columns, 16 * 16 * 3), each patch in the order y, x, channel."""
    rows, columns = pixels.shape[0] // PATCH, pixels.shape[1] // PATCH
    split = pixels.reshape(rows, PATCH, columns, PATCH, 3).swapaxes(1, 2)
    return split.reshape(rows, columns, PATCH * PATCH * 3)


def normalised(values: np.ndarray) -> np.ndarray:
    """Mean and variance of Pixtral's training data; channels last."""
    return (values.astype(np.float32) / np.float32(255.0) - MEAN) / STD
