"""Each stage of the path by itself, on a frame of the demo clip or on people made of numbers."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as count_up
from pathlib import Path
from statistics import median

import numpy as np

from app.bench.synthetic import crowd_outputs, walking_people
from app.bench.timing import Timing, measure
from engine.decode.bottom_up import decode_bottom_up, merge_heatmaps, stack_tags
from engine.decode.grouping import find_peaks, group_peaks
from engine.decode.single import decode_crops
from engine.model import open_model
from engine.model_file import ModelSpec
from engine.prepare import crop_people, letterbox
from engine.settings import EstimatorSettings, TrackerSettings
from engine.sinks.csv_file import CsvSink
from engine.skeleton import COCO17
from engine.sources import open_source
from engine.structures import Float, Frame, Image, Result, TrackedPerson
from engine.tracking.tracker import Tracker

PEOPLE, CROWD = 2, 10
CROWD_MAP = 256
FPS = 30.0
LOOK_AT_S = 1.0
"""Time in the clip of the frame on which stages are measured."""


@dataclass(frozen=True, slots=True)
class StageTiming:
    """A stage, what it was measured on, and its time."""

    stage: str
    on: str
    timing: Timing

    def as_dict(self) -> dict[str, object]:
        """Return the row, ready for JSON."""
        return {"stage": self.stage, "on": self.on, **self.timing.as_dict()}


def measure_stages(clip: Path, settings: EstimatorSettings) -> Iterator[StageTiming]:
    """Measure all stages but the networks, one row at a time.

    Args:
        clip: a video with people in it.
        settings: which models, and the threads of their runtimes.

    Raises:
        ModelFileError: a model is missing.
        SourceError: the clip cannot be read.
    """
    yield StageTiming("read a frame", clip.name, measure_reading(clip))
    image = frame_at(clip, LOOK_AT_S)
    yield from _top_down_stages(image, settings)
    yield from _bottom_up_stages(image, settings)
    yield StageTiming("track and smooth", f"{CROWD} people", measure_tracking(CROWD))
    yield StageTiming("track and smooth", f"{PEOPLE} people", measure_tracking(PEOPLE))
    yield StageTiming("write CSV", f"{PEOPLE} people", measure_writing(image, PEOPLE))


def measure_reading(clip: Path) -> Timing:
    """Return the time to read one frame of a clip, over the whole clip."""
    times_ms = []
    with open_source(clip) as source:
        begin = time.perf_counter()
        for _ in source:
            now = time.perf_counter()
            times_ms.append((now - begin) * 1e3)
            begin = now
    # A reader ahead in another thread gives most frames at once: the mean, not the median, is its speed.
    return Timing(sum(times_ms) / len(times_ms), min(times_ms), len(times_ms))


def frame_at(clip: Path, time_s: float) -> Image:
    """Return the first picture of a clip at or after a time, or its last one."""
    with open_source(clip) as source:
        for frame in source:
            image = frame.image
            if frame.time_s >= time_s:
                break
    return image


def person_boxes(image: Image, count: int) -> np.ndarray:
    """Return (count, 4) xyxy boxes 3/4 as high as the picture; what is in them does not change the cost."""
    height, width = image.shape[:2]
    left = np.linspace(0.1, 0.6, count) * width
    return np.stack(
        [left, np.full(count, 0.1 * height), left + 0.3 * height, np.full(count, 0.85 * height)], axis=1
    )


def _top_down_stages(image: Image, settings: EstimatorSettings) -> Iterator[StageTiming]:
    model = open_model(settings.top_down_model, threads=settings.threads)
    spec, boxes = model.spec, person_boxes(image, PEOPLE)
    on = f"{PEOPLE} people, {spec.input_size[0]}x{spec.input_size[1]}"
    yield StageTiming("crop", on, measure(lambda: crop_people(image, boxes, spec)))
    inputs, matrices = crop_people(image, boxes, spec)
    heatmaps = model.run(inputs)[spec.heatmap_outputs[0].name]
    yield StageTiming("decode crops", on, measure(lambda: decode_crops(heatmaps, matrices, spec)))
    model.close()


def _bottom_up_stages(image: Image, settings: EstimatorSettings) -> Iterator[StageTiming]:
    model = open_model(settings.bottom_up_model, threads=settings.threads)
    spec = model.spec
    inputs, matrix = letterbox(image, spec)
    on = f"1 frame, {inputs.shape[2]}x{inputs.shape[3]}"
    yield StageTiming("letterbox", on, measure(lambda: letterbox(image, spec)))
    outputs = model.run(inputs)
    model.close()
    yield StageTiming("decode frame", on, measure_decoding(outputs, matrix, inputs.shape[2:], spec))
    finest = min(output.stride for output in spec.heatmap_outputs)
    crowd, size = crowd_outputs(spec, CROWD, CROWD_MAP), (CROWD_MAP * finest, CROWD_MAP * finest)
    on = f"{CROWD} people, {spec.skeleton.count}x{CROWD_MAP}x{CROWD_MAP}"
    yield StageTiming("decode frame", on, measure_decoding(crowd, np.eye(2, 3), size, spec))
    yield StageTiming("of it, peaks and grouping", on, measure_grouping(crowd, spec))


def measure_grouping(outputs: dict[str, Float], spec: ModelSpec) -> Timing:
    """Return the time from merged heatmaps to peaks grouped into people, heatmap px."""
    heatmaps, tags = merge_heatmaps(outputs, spec)[0], stack_tags(outputs, spec)
    return measure(lambda: group_peaks(find_peaks(heatmaps, tags)))


def measure_decoding(
    outputs: dict[str, Float], matrix: np.ndarray, input_size: tuple[int, ...], spec: ModelSpec
) -> Timing:
    """Return the time from the outputs of a bottom-up network to people, sub-pixel places included."""
    settings = EstimatorSettings()
    return measure(
        lambda: decode_bottom_up(
            outputs,
            matrix,
            input_size,
            spec,
            min_peak_score=spec.min_peak_score,
            max_people=settings.max_people,
        )
    )


def measure_tracking(count: int, frames: int = 300) -> Timing:
    """Return the time to match and smooth the people of one frame, 2 s into their walk and later."""
    tracker = Tracker(TrackerSettings(), COCO17)
    times_ms = []
    for index, people in enumerate(walking_people(COCO17, count, frames, FPS)):
        start = time.perf_counter()
        tracker.update(people, index / FPS)
        times_ms.append((time.perf_counter() - start) * 1e3)
    steady = times_ms[round(2 * FPS) :]
    return Timing(median(steady), min(steady), len(steady))


def measure_writing(image: Image, count: int) -> Timing:
    """Return the time to write the rows of one frame into a CSV file on disk."""
    people = tuple(tracked_people(count))
    with tempfile.TemporaryDirectory() as folder:
        sink = CsvSink(Path(folder) / "bench.csv", COCO17)
        numbers = count_up()
        timing = measure(lambda: sink.write(Result(Frame(image, i := next(numbers), i / FPS), people)))
        sink.close()
    return timing


def tracked_people(count: int) -> list[TrackedPerson]:
    """Return people who were followed for a while."""
    tracker, people = Tracker(TrackerSettings(), COCO17), []
    for index, found in enumerate(walking_people(COCO17, count, 30, FPS)):
        people = tracker.update(found, index / FPS)
    return people
