"""Recordings to report on: walkers whose motion is known, written as `track` writes them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.metrics.walking import Walker
from engine.sinks.csv_file import CsvSink, describe_columns
from engine.sinks.sidecar import Sidecar, SourceRecord, write_sidecar
from engine.skeleton import COCO17
from engine.structures import Frame, KeypointState, Result, TrackedPerson

FPS, SIZE = 10.0, (480, 640)


def write_walkers(
    folder: Path,
    walkers: Mapping[int, tuple[Walker, range]],
    *,
    frames: int = 30,
    name: str = "clip",
    source: Path | None = None,
    stills: bool = False,
    **changes: Any,
) -> Path:
    """Write people as CSV and sidecar, and return the CSV.

    walkers: track id to a walker and the frames in which it is seen. changes: of the sidecar.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sink = CsvSink(folder / f"{name}.csv", COCO17, overwrite=True)
    for index in range(frames):
        time_s = index / FPS
        people = [_person(track, one, time_s) for track, (one, seen) in walkers.items() if index in seen]
        sink.write(Result(Frame(np.zeros((*SIZE, 3), np.uint8), index, time_s), tuple(people)))
    sink.close()
    record = SourceRecord(
        name=f"{name}.mp4",
        path=None if source is None else str(source),
        width=SIZE[1],
        height=SIZE[0],
        fps=FPS,
        duration_s=frames / FPS,
        start_s=0.0,
        stills=stills,
    )
    facts = {
        "status": "complete",
        "software_version": "0.1.0",
        "source": record,
        "frames_read": frames,
        "frames_dropped": 0,
        "tracks": len(walkers),
        "most_people": len(walkers),
        "models": (),
        "settings": {},
        "skeleton": COCO17,
        "columns": describe_columns(),
    }
    write_sidecar(folder / f"{name}.json", Sidecar.model_validate(facts | changes))
    return sink.path


def _person(track_id: int, walker: Walker, time_s: float) -> TrackedPerson:
    keypoints = walker.keypoints(time_s).astype(np.float32)
    return TrackedPerson(
        track_id=track_id,
        keypoints=keypoints,
        raw_keypoints=keypoints,
        velocity=np.zeros_like(keypoints),
        scores=np.full(17, 0.9, np.float32),
        state=np.full(17, KeypointState.MEASURED, np.int8),
        bbox=np.array([*keypoints.min(axis=0), *keypoints.max(axis=0)], np.float32),
        score=0.9,
        age_s=time_s,
    )


@pytest.fixture(scope="session")
def write_clip() -> Callable[..., Path]:
    return write_walkers


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Two walkers: one to the right in all frames, one to the left in the last two thirds."""
    walkers = {
        1: (Walker((50.0, 400.0), speed=100.0, height=200.0), range(30)),
        6: (Walker((600.0, 420.0), speed=-80.0, height=210.0), range(10, 30)),
    }
    return write_walkers(tmp_path / "in", walkers)
