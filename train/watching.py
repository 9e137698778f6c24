"""What a run shows of itself: rows in `log.jsonl`, and curves, pictures and the graph for TensorBoard.

The same numbers go to both. Pictures are what the averaged network makes of a batch, through the decoders
that ship, beside what it is asked for.
"""

import copy
import logging
import math
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from engine.decode.bottom_up import decode_bottom_up, merge_heatmaps
from engine.decode.single import decode_crops
from engine.errors import SinkError
from engine.geometry import heatmap_to_input
from engine.sinks.drawing import draw_people
from engine.structures import Float, Image, KeypointState, TrackedPerson
from train.export import TrainedNetwork, wrap_network
from train.run_folder import append_row
from train.settings import Stage, TrainSettings
from train.stepping import Batch, normalise_images

log = logging.getLogger(__name__)

CURVES = "tensorboard"
"""Folder of the curves within the run's."""
SHOWN = 4
"""Samples of a batch that are drawn."""
PANEL_HEIGHT = 256
"""Largest height of one picture, px."""
NO_CHANGE = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""The matrix from frame to input px where the frame is the input."""


class Clock:
    """Wall time since the last row: how much of it went into steps, and how many samples they took.

    What is neither a step nor a pause is waiting: for samples above all, but for saving and drawing as well.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin anew."""
        self.started, self.paused_s, self.step_s, self.samples = time.monotonic(), 0.0, 0.0, 0

    @contextmanager
    def step(self, samples: int) -> Iterator[None]:
        """Count what is done inside as work on this many samples."""
        begun = time.monotonic()
        yield
        self.step_s += time.monotonic() - begun
        self.samples += samples

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave out what is done inside, such as an evaluation."""
        begun = time.monotonic()
        yield
        self.paused_s += time.monotonic() - begun

    def read(self) -> dict[str, float]:
        """Return `samples_per_s` and `busy`, the share of the time that went into steps; begin anew."""
        wall_s = max(time.monotonic() - self.started - self.paused_s, 1e-9)
        figures = {"samples_per_s": self.samples / wall_s, "busy": min(self.step_s / wall_s, 1.0)}
        self.restart()
        return figures


class Watch:
    """Writes what a run shows, until it is closed.

    Args:
        settings: of the run. folder: of the run. step: where it begins; later curves are forgotten.
    """

    def __init__(self, settings: TrainSettings, folder: Path, step: int) -> None:
        self.settings, self.folder = settings, folder
        self.writer: SummaryWriter | None = None
        if settings.tensorboard:
            with _writable(folder / CURVES):
                self.writer = SummaryWriter(str(folder / CURVES), purge_step=step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            with _writable(self.folder / CURVES):
                self.writer.close()

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Write one row of numbers by name.

        Raises:
            SinkError: the disk is full or the folder is gone.
        """
        append_row(self.folder, {"step": step} | {name: _short(value) for name, value in figures.items()})
        self._curves(step, figures)

    def validation(self, step: int, figures: Mapping[str, float]) -> None:
        """Write the figures of an evaluation.

        Raises:
            SinkError: the disk is full or the folder is gone.
        """
        append_row(self.folder, {"step": step, "validation": dict(figures)})
        self._curves(step, {f"validation/{name}": value for name, value in figures.items()})

    def _curves(self, step: int, figures: Mapping[str, float]) -> None:
        if self.writer is None:
            return
        with _writable(self.folder / CURVES):
            for name, value in figures.items():
                self.writer.add_scalar(name if "/" in name else f"train/{name}", value, step)

    def graph(self, network: nn.Module, stage: Stage) -> None:
        """Write the graph of a network at a stage's input size; a network that cannot be traced is logged."""
        if self.writer is None:
            return
        traced = copy.deepcopy(network).cpu().eval()
        image = torch.zeros(1, 3, *stage.input_size)
        with warnings.catch_warnings(), _writable(self.folder / CURVES):
            # The curves' graph page reads traces only; sizes that are fixed in a trace are what it shows.
            warnings.filterwarnings("ignore", r"`torch\.jit\.trace", DeprecationWarning)
            warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
            try:
                self.writer.add_graph(traced, image, use_strict_trace=False)
            except RuntimeError as error:
                log.warning("the graph of %s cannot be traced: %s", self.settings.architecture, error)

    def pictures(self, step: int, network: nn.Module, stage: Stage, batch: Batch) -> None:
        """Draw what is asked for and what the network gives, for the first samples of a batch.

        Args:
            step: of the run. network: in evaluation mode. stage: that the batch is of. batch: any device.
        """
        if self.writer is None:
            return
        sheet = draw_sheet(network, self.settings, stage, batch)
        with _writable(self.folder / CURVES):
            self.writer.add_image("samples", sheet, step, dataformats="HWC")


def draw_sheet(network: nn.Module, settings: TrainSettings, stage: Stage, batch: Batch) -> Image:
    """Draw a row for each of the first samples: keypoints asked for and found, and the heatmaps of both.

    Args:
        network: in evaluation mode. settings: of the run. stage: that the batch is of. batch: any device.

    Returns:
        (rows, columns, 3) uint8 RGB.
    """
    part = {name: value[:SHOWN].cpu() for name, value in batch.items()}
    trained = wrap_network(network, settings.model_copy(update={"stages": (stage,)}))
    outputs = trained.run(normalise_images(part["image"], settings).numpy())
    top_down = settings.kind == "top-down"
    wanted = _wanted_crops(part, trained) if top_down else _wanted_people(part, settings)
    found = _found_crops(outputs, trained) if top_down else _found_people(outputs, stage, trained)
    target = part["heatmaps" if top_down else _finest(part)].numpy()
    given = merge_heatmaps(outputs, trained.spec)
    rows = []
    for index, image in enumerate(part["image"].permute(0, 2, 3, 1).numpy()):
        panels = [
            _draw(image, wanted[index], trained),
            _draw(image, found[index], trained),
            _overlay(image, target[index]),
            _overlay(image, given[index]),
        ]
        rows.append(np.concatenate([_fit(panel) for panel in panels], axis=1))
    return np.concatenate(rows, axis=0)


def _wanted_crops(part: Batch, trained: TrainedNetwork) -> list[list[TrackedPerson]]:
    maps = part["heatmaps"].numpy()
    points, _ = decode_crops(maps, np.stack([NO_CHANGE] * len(maps)), trained.spec)
    told = part["weights"].numpy() > 0
    return [[_person(0, *person)] for person in zip(points, told, strict=True)]


def _wanted_people(part: Batch, settings: TrainSettings) -> list[list[TrackedPerson]]:
    """Read people back from the places at which their tags are learnt; there are none without tags."""
    found: list[list[TrackedPerson]] = [[] for _ in part["image"]]
    name = next((name for name in part if name.startswith("indices_")), None)
    if name is None:
        return found
    size = part[f"heatmaps_{name.removeprefix('indices_')}"].shape[2:]
    input_size = part["image"].shape[2:]
    for number, indices in enumerate(part[name].numpy()):
        for index, person in enumerate(indices[(indices[..., 1] > 0).any(axis=1)]):
            place = person[:, 0] % (size[0] * size[1])
            points = heatmap_to_input(
                np.stack([place % size[1], place // size[1]], axis=1),
                (size[0], size[1]),
                (input_size[0], input_size[1]),
                settings.coordinates,
            )
            found[number].append(_person(index, points, person[:, 1] > 0))
    return found


def _found_crops(outputs: Mapping[str, Float], trained: TrainedNetwork) -> list[list[TrackedPerson]]:
    maps = outputs[trained.spec.heatmap_outputs[0].name]
    points, scores = decode_crops(maps, np.stack([NO_CHANGE] * len(maps)), trained.spec)
    return [[_person(0, p, s > 0, s)] for p, s in zip(points, scores, strict=True)]


def _found_people(
    outputs: Mapping[str, Float], stage: Stage, trained: TrainedNetwork
) -> list[list[TrackedPerson]]:
    if not trained.spec.tag_outputs:
        return [[] for _ in next(iter(outputs.values()))]
    found = []
    for number in range(len(next(iter(outputs.values())))):
        one = {name: maps[number : number + 1] for name, maps in outputs.items()}
        people = decode_bottom_up(
            one, NO_CHANGE, stage.input_size, trained.spec, min_peak_score=trained.spec.min_peak_score
        )
        found.append([_person(i, p.keypoints, p.scores > 0, p.scores) for i, p in enumerate(people)])
    return found


def _person(
    number: int, keypoints: NDArray, shown: NDArray[np.bool_], scores: Float | None = None
) -> TrackedPerson:
    points = np.where(shown[:, None], keypoints, np.nan).astype(np.float32)
    return TrackedPerson(
        track_id=number,
        keypoints=points,
        raw_keypoints=points,
        velocity=np.zeros_like(points),
        scores=np.ones(len(points), np.float32) if scores is None else scores.astype(np.float32),
        state=np.where(shown, KeypointState.MEASURED, KeypointState.MISSING).astype(np.int8),
        bbox=np.full(4, np.nan, np.float32),  # without one no number covers the picture
        score=1.0,
        age_s=0.0,
    )


def _draw(image: Image, people: list[TrackedPerson], trained: TrainedNetwork) -> Image:
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    return draw_people(bgr, people, trained.spec.skeleton)[:, :, ::-1]


def _overlay(image: Image, heatmaps: Float) -> Image:
    """Lay the highest of (K, h, w) heatmaps over a picture, from blue at 0 to red at 1."""
    height, width = image.shape[:2]
    highest = cv2.resize(heatmaps.max(axis=0).clip(0, 1), (width, height), interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap((highest * 255).astype(np.uint8), cv2.COLORMAP_JET)
    mixed = cv2.addWeighted(image, 0.5, np.ascontiguousarray(colours[:, :, ::-1]), 0.5, 0)
    return np.asarray(mixed, np.uint8)


def _fit(panel: Image) -> Image:
    factor = min(1.0, PANEL_HEIGHT / panel.shape[0])
    if factor == 1.0:
        return panel
    whole = np.ascontiguousarray(panel)
    return np.asarray(cv2.resize(whole, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def _finest(part: Batch) -> str:
    return min((name for name in part if name.startswith("heatmaps_")), key=lambda name: int(name[9:]))


def _short(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"{path} cannot be written: {error.strerror or error}; make room, or set tensorboard: false"
        ) from error
