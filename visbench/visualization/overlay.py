# SPDX-License-Identifier: Apache-2.0
"""Masks, boxes, ids, classes and scores drawn on a frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from visbench.structures import RLE, FrameInstances, decode_mask, rle_to_box
from visbench.visualization.palette import text_colour, track_colour

Image = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
Rectangle = tuple[int, int, int, int]
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_instances(
    image: Image,
    instances: FrameInstances,
    class_names: Sequence[str] = (),
    score_threshold: float = 0.3,
    *,
    opacity: float = 0.45,
    boxes: bool = True,
    scores: bool = True,
    scale: int = 1,
    ids_only: bool = False,
    text_scale: float = 1.0,
) -> Image:
    """Draw the instances of a frame.

    Masks are blended in the colour of their track id (:func:`track_colour`), inside their bounding
    box only; the best score is drawn last. Every instance is labelled ``id class score``, or
    ``id class``.

    Args:
        image: ``(H, W, 3)`` uint8, BGR; not changed.
        instances: Masks and boxes in pixels of ``image``.
        class_names: Name of every 0-based label; a label without a name is shown as a number.
        score_threshold: Instances with a lower score are left out.
        opacity: Share of the colour inside a mask, 0 to 1.
        boxes: Whether boxes are drawn; without masks they always are.
        scores: Whether labels show scores, which ground truth has not.
        scale: Whole factor by which the frame is enlarged first, for readable labels on small
            frames (see :func:`display_scale`).
        ids_only: Label instances with their id alone.
        text_scale: Factor of the labels' size, for pictures that are shown smaller.

    Returns:
        A new image of shape ``(H * scale, W * scale, 3)``, BGR.

    Raises:
        ValueError: If the image is not a BGR uint8 image or a mask has another size.

    Examples:
        >>> frame = FrameInstances([4], [0], [0.9], boxes=[[2, 2, 30, 20]])
        >>> draw_instances(np.zeros((24, 32, 3), np.uint8), frame, ["cat"]).shape
        (24, 32, 3)
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"a (H, W, 3) uint8 image is needed, got {image.dtype} {image.shape}")
    canvas = _enlarge(image, scale)
    shown = [
        row for row in np.argsort(instances.scores) if instances.scores[row] >= score_threshold
    ]
    for row in shown:
        colour = track_colour(int(instances.ids[row]))
        if instances.masks is not None:
            _blend(canvas, instances.masks[row], colour, opacity, scale)
        if instances.boxes is not None and (boxes or instances.masks is None):
            x1, y1, x2, y2 = (round(float(side) * scale) for side in instances.boxes[row])
            cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, _line_width(canvas))
    taken: list[Rectangle] = []
    for row in reversed(shown):
        anchor = _anchor(instances, int(row), scale)
        if anchor is not None:
            number = int(instances.ids[row])
            text = str(number) if ids_only else _label(instances, int(row), class_names, scores)
            _write(canvas, text, anchor, track_colour(number), taken, text_scale)
    return canvas


def display_scale(height: int, width: int, shorter_side: int = 360) -> int:
    """Return the whole factor that brings the shorter side of a small frame to about the given."""
    return max(1, round(shorter_side / min(height, width)))


def side_by_side(images: Sequence[Image], captions: Sequence[str] = ()) -> Image:
    """Join images of equal height from left to right, each with a caption in its corner.

    Args:
        images: ``(H, W_i, 3)`` uint8.
        captions: One text per image, or none.

    Returns:
        ``(H, sum of W_i, 3)`` uint8.
    """
    panels = [image.copy() for image in images]
    for panel, caption in zip(panels, captions, strict=False):
        _write(panel, caption, (0, panel.shape[0]), (40, 40, 40), [])
    joined: Image = np.concatenate(panels, axis=1)
    return joined


def pad_to(image: Image, height: int, width: int) -> Image:
    """Return an image with a grey border at the right and at the bottom.

    Args:
        image: ``(H, W, 3)`` uint8 with H and W at most the wanted size.
        height: Wanted height.
        width: Wanted width.
    """
    below, right = height - image.shape[0], width - image.shape[1]
    grey = (128, 128, 128)
    padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=grey)
    return padded.astype(np.uint8, copy=False)


def _enlarge(image: Image, scale: int) -> Image:
    if scale == 1:
        return image.copy()
    size = (image.shape[1] * scale, image.shape[0] * scale)
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _line_width(canvas: Image) -> int:
    return max(1, round(min(canvas.shape[:2]) / 360))


def _blend(canvas: Image, mask: RLE, colour: Colour, opacity: float, scale: int) -> None:
    height, width = canvas.shape[0] // scale, canvas.shape[1] // scale
    if list(mask["size"]) != [height, width]:
        raise ValueError(f"a mask of size {mask['size']} does not fit a frame of {[height, width]}")
    x1, y1, x2, y2 = (int(side) for side in rle_to_box(mask))
    if x2 <= x1 or y2 <= y1:
        return
    crop = decode_mask(mask)[y1:y2, x1:x2].astype(np.uint8) * 255
    if scale > 1:
        size = ((x2 - x1) * scale, (y2 - y1) * scale)
        crop = cv2.resize(crop, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    inside = crop > 127
    region = canvas[y1 * scale : y2 * scale, x1 * scale : x2 * scale]
    tint = np.array(colour, dtype=np.float32) * opacity
    region[inside] = (region[inside] * (1 - opacity) + tint).astype(np.uint8)
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(
        canvas, contours, -1, colour, _line_width(canvas), offset=(x1 * scale, y1 * scale)
    )


def _anchor(instances: FrameInstances, row: int, scale: int) -> tuple[int, int] | None:
    if instances.boxes is not None:
        box = instances.boxes[row]
    elif instances.masks is not None:
        box = rle_to_box(instances.masks[row])
    else:
        return None
    return int(box[0] * scale), int(box[1] * scale)


def _label(
    instances: FrameInstances, row: int, class_names: Sequence[str], with_score: bool
) -> str:
    label = int(instances.labels[row])
    name = class_names[label] if 0 <= label < len(class_names) else f"class {label}"
    score = f" {float(instances.scores[row]):.2f}" if with_score else ""
    return f"{int(instances.ids[row])} {name}{score}"


def _write(
    canvas: Image,
    text: str,
    anchor: tuple[int, int],
    colour: Colour,
    taken: list[Rectangle],
    scale: float = 1.0,
) -> None:
    """Write text on a plate whose lower left corner is at ``anchor``, kept inside the image."""
    height, width = canvas.shape[:2]
    size = max(0.35, min(height, width) / 900) * scale
    (text_width, text_height), baseline = cv2.getTextSize(text, _FONT, size, 1)
    plate_width, plate_height = text_width + 4, text_height + baseline + 3
    x = max(0, min(anchor[0], width - plate_width))
    y = max(0, min(anchor[1] - plate_height, height - plate_height))
    while y + 2 * plate_height <= height and any(
        x < right and left < x + plate_width and y < bottom and top < y + plate_height
        for left, top, right, bottom in taken
    ):
        y += plate_height
    taken.append((x, y, x + plate_width, y + plate_height))
    cv2.rectangle(canvas, (x, y), (x + plate_width, y + plate_height), colour, cv2.FILLED)
    position = (x + 2, y + text_height + 2)
    cv2.putText(canvas, text, position, _FONT, size, text_colour(colour), 1, cv2.LINE_AA)
