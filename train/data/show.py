"""Contact sheets of what a run learns from: augmented samples with their keypoints, and their targets.

Orange is the person's left, blue the right, green the middle. Nothing here is needed for training; it is how
to see that labels, augmentations and targets are what was meant.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import SinkError
from engine.geometry import Size, heatmap_to_input
from engine.skeleton import Skeleton, open_skeleton
from engine.structures import Image
from train.data.samples import Batch, load_sources, make_collate, make_dataset
from train.settings import Stage, TrainSettings

Float = NDArray[np.float32]
Colour = tuple[int, int, int]

PANEL_HEIGHT = 320
"""Px of one picture of a sheet, about."""
GAP = 6
LEFT_BGR, RIGHT_BGR, MIDDLE_BGR = (60, 180, 255), (255, 150, 60), (120, 220, 120)
TAG_COLOURS_BGR: tuple[Colour, ...] = (
    (255, 255, 255), (80, 80, 255), (255, 255, 80), (255, 80, 255), (80, 255, 255), (0, 160, 0),
)  # fmt: skip
"""Of people, in turn."""
DIM = 0.35
"""Brightness of the picture under its heatmaps."""


def show_samples(settings: TrainSettings, out: Path, count: int = 16) -> list[Path]:
    """Draw the first samples of each stage's input size and their targets.

    Args:
        settings: of the run. out: folder for the PNG files, made where it is missing.
        count: samples on a sheet.

    Returns:
        The files: ``samples-HxW.png``, and ``targets-HxW.png`` or one ``targets-HxW-strideS.png`` for each
        output of a bottom-up network.

    Raises:
        UsageError: the data cannot be read. SourceError: a picture cannot. SinkError: a file is not written.
    """
    images = load_sources(settings.data, open_skeleton(settings.skeleton))
    sizes = {stage.input_size: stage for stage in settings.stages}
    return [
        _write(out / f"{name}.png", arrange_sheet(panels))
        for stage in sizes.values()
        for name, panels in _draw_stage(settings, stage, images, count).items()
    ]


def _draw_stage(
    settings: TrainSettings, stage: Stage, images: Sequence, count: int
) -> dict[str, list[Image]]:
    """Return the panels of a stage by the name of their sheet."""
    skeleton = open_skeleton(settings.skeleton)
    dataset, collate = make_dataset(settings, stage, images), make_collate(settings, stage)
    samples = [dataset[number] for number in range(count)]
    batch = collate(samples)
    height, width = stage.input_size
    title = f"{height}x{width}"
    sheets = {
        f"samples-{title}": [draw_sample(sample, skeleton, number) for number, sample in enumerate(samples)]
    }
    for name in batch:
        if name.startswith("heatmaps"):
            ending = name.removeprefix("heatmaps")
            sheet = f"targets-{title}" + (f"-stride{ending[1:]}" if ending else "")
            sheets[sheet] = [draw_targets(batch, index, ending, skeleton, settings) for index in range(count)]
    return sheets


def draw_sample(sample: dict[str, NDArray], skeleton: Skeleton, number: int) -> Image:
    """Return a sample as a panel: keypoints filled, hollow where their weight is below 1, and limbs."""
    points = sample["points"].reshape(-1, skeleton.count, 2)
    weights = sample["weights"].reshape(-1, skeleton.count)
    panel, scale = _enlarge(sample["image"])
    for person, weight in zip((points + 0.5) * scale - 0.5, weights, strict=True):
        for first, second in skeleton.limbs:
            if weight[first] > 0 and weight[second] > 0:
                colour = _side_colour(skeleton, first, second)
                _line(panel, person[first], person[second], colour)
        for index in np.flatnonzero(weight > 0):
            _dot(panel, person[index], _side_colour(skeleton, int(index)), -1 if weight[index] == 1 else 1)
    absent = int(sample["absent"].sum()) if "absent" in sample else 0
    return _caption(panel, f"{number}" + (f", {absent} absent" if absent else ""))


def draw_targets(batch: Batch, index: int, ending: str, skeleton: Skeleton, settings: TrainSettings) -> Image:
    """Return the targets of one output over the picture, where its coordinates place them.

    Places without loss for any keypoint are red, without loss for some dark red; tags are squares, one colour
    per person.
    """
    image = np.ascontiguousarray(batch["image"][index].permute(1, 2, 0).numpy())
    heatmaps = batch[f"heatmaps{ending}"][index].numpy()
    panel, scale = _enlarge(image)
    canvas = panel.astype(np.float32) * DIM
    input_size, size = image.shape[:2], heatmaps.shape[1:]
    matrix = _heatmap_to_panel(size, input_size, scale, settings)
    target_size = (panel.shape[1], panel.shape[0])
    if f"mask{ending}" in batch:
        hidden = (batch[f"mask{ending}"][index].numpy() == 0).astype(np.float32).mean(axis=0)
        shade = np.where(hidden == 1, 1.0, np.where(hidden > 0, 0.4, 0.0)).astype(np.float32)
        canvas[..., 2] += 110 * cv2.warpAffine(shade, matrix, target_size, flags=cv2.INTER_NEAREST)
    for keypoint, heatmap in enumerate(heatmaps):
        if heatmap.any():
            glow = cv2.warpAffine(heatmap, matrix, target_size, flags=cv2.INTER_LINEAR)
            np.maximum(canvas, glow[..., None] * _side_colour(skeleton, keypoint), out=canvas)
    panel = np.clip(canvas, 0, 255).astype(np.uint8)
    if f"indices{ending}" in batch:
        _draw_tags(panel, batch[f"indices{ending}"][index].numpy(), size, matrix)
    return _caption(panel, str(index))


def _draw_tags(panel: Image, indices: NDArray[np.int64], size: Size, matrix: NDArray[np.float64]) -> None:
    for person, slots in enumerate(indices):
        places = slots[slots[:, 1] > 0, 0] % (size[0] * size[1])
        centres = np.stack([places % size[1], places // size[1]], axis=1) @ matrix[:, :2].T + matrix[:, 2]
        half = max(2.0, matrix[0, 0] / 2)
        for x, y in centres:
            corners = [(round(float(x + d)), round(float(y + d))) for d in (-half, half)]
            cv2.rectangle(panel, corners[0], corners[1], TAG_COLOURS_BGR[person % len(TAG_COLOURS_BGR)], 1)


def _heatmap_to_panel(
    size: Size, input_size: Size, scale: float, settings: TrainSettings
) -> NDArray[np.float64]:
    """Return the (2, 3) matrix from heatmap px to px of the enlarged input."""
    corners = heatmap_to_input([[0, 0], [1, 1]], size, input_size, settings.coordinates)
    origin, step = (corners[0] + 0.5) * scale - 0.5, (corners[1] - corners[0]) * scale
    return np.array([[step[0], 0, origin[0]], [0, step[1], origin[1]]])


def _enlarge(image_rgb: NDArray[np.uint8]) -> tuple[Image, float]:
    """Return the panel of an input, BGR, and its px per input px."""
    scale = max(1, round(PANEL_HEIGHT / image_rgb.shape[0]))
    panel = cv2.resize(image_rgb[..., ::-1], None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    return np.asarray(panel, np.uint8), float(scale)


def _side_colour(skeleton: Skeleton, *keypoints: int) -> Colour:
    sides = {
        1 if "left" in name else 2 if "right" in name else 0
        for name in (skeleton.keypoints[index].lower() for index in keypoints)
    }
    return {1: LEFT_BGR, 2: RIGHT_BGR}[sides.pop()] if len(sides) == 1 and 0 not in sides else MIDDLE_BGR


def _dot(panel: Image, place: Float, colour: Colour, thickness: int) -> None:
    centre = tuple(round(float(v) * 16) for v in np.clip(place, -2000, 2000))
    cv2.circle(panel, centre, 3 * 16, colour, thickness, cv2.LINE_AA, 4)


def _line(panel: Image, start: Float, end: Float, colour: Colour) -> None:
    ends = [tuple(round(float(v) * 16) for v in np.clip(place, -2000, 2000)) for place in (start, end)]
    cv2.line(panel, ends[0], ends[1], colour, 1, cv2.LINE_AA, 4)


def _caption(panel: Image, text: str) -> Image:
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(panel, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, thickness, cv2.LINE_AA)
    return panel


def arrange_sheet(panels: Sequence[Image]) -> Image:
    """Return panels of one size as one picture, about square."""
    height, width = panels[0].shape[:2]
    columns = min(len(panels), max(1, round(np.sqrt(len(panels) * height / width))))
    rows = -(-len(panels) // columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 255, np.uint8)
    for place, panel in enumerate(panels):
        top, left = (GAP + n * (side + GAP) for n, side in zip(divmod(place, columns), (height, width)))
        sheet[top : top + height, left : left + width] = panel
    return sheet


def _write(path: Path, image: Image) -> Path:
    _, content = cv2.imencode(".png", image)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.tobytes())
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror}; choose another --out") from error
    return path
