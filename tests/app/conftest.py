import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from engine.metrics.walking import Walker
from engine.sinks.csv_file import CsvSink, describe_columns
from engine.sinks.sidecar import Sidecar, SourceRecord, write_sidecar
from engine.skeleton import COCO17, Skeleton
from engine.structures import TrackedPerson

FRAMES = 24
Painter = Callable[..., np.ndarray]


@pytest.fixture(autouse=True)
def _quiet_log_afterwards() -> Iterator[None]:
    """Take the command line's log handlers away again, so that other tests can read the log."""
    yield
    for name in ("app", "engine"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def write_clip(marker_image: Painter, walking_pair: Callable[[int], list[np.ndarray]]) -> Callable[..., Path]:
    """Function (path, frames) that writes a video of the walking pair, 640 × 360 at 30 frames/s."""

    def write(path: Path, frames: int = FRAMES) -> Path:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=30, options={"g": "10", "preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
            for index in range(frames):
                image = marker_image((360, 640), walking_pair(index % 60))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory, write_clip: Callable[..., Path]) -> Path:
    """A video of the walking pair."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Function that runs the command line in this process."""

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="steadypose")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def models(top_down_file: Path, bottom_up_file: Path) -> tuple[object, ...]:
    """Options that put the marker models in the place of the bundled ones."""
    return ("--top-down-model", top_down_file, "--bottom-up-model", bottom_up_file, "--threads", 1)


@pytest.fixture
def track(invoke: Callable[..., Result], models: tuple[object, ...], tmp_path: Path) -> Callable[..., Result]:
    """Function that runs `track` with the marker models into tmp_path / "out"."""

    def run(*arguments: object) -> Result:
        return invoke("track", *arguments, "--out", tmp_path / "out", *models)

    return run


def stand(track_id: int, x: float, skeleton: Skeleton = COCO17) -> TrackedPerson:
    """A person who stands at x; a skeleton other than COCO's has its first keypoints."""
    keypoints = Walker((x, 500.0), speed=0.0).keypoints(0.0).astype(np.float32)
    box = np.concatenate([keypoints.min(axis=0), keypoints.max(axis=0)])
    keypoints = keypoints[: skeleton.count]
    count = len(keypoints)
    return TrackedPerson(
        track_id, keypoints, keypoints + 1, keypoints * 0, np.ones(count, np.float32),
        np.full(count, 2, np.int8), box, 0.9, 0.0,
    )  # fmt: skip


@pytest.fixture(scope="session")
def write_stands() -> Callable[..., Path]:
    """Function that writes a CSV and its sidecar of people who stand: per frame, track id to x."""

    def write(
        path: Path,
        frames: Sequence[dict[int, float]],
        *,
        skeleton: Skeleton = COCO17,
        raw: bool = False,
        long: bool = False,
        frames_read: int | None = None,
        status: str = "complete",
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        sink = CsvSink(path, skeleton, raw=raw, long=long)
        for index, people in enumerate(frames):
            sink.write_people(index, index / 25, None, [stand(*item, skeleton) for item in people.items()])
        sink.close()
        source = SourceRecord(
            name=f"{path.stem}.mp4", path=None, width=1280, height=720, fps=25.0, duration_s=None,
            start_s=0.0, decoder=None, stills=False,
        )  # fmt: skip
        sidecar = Sidecar(
            status=status, software_version="0", source=source, frames_dropped=0, most_people=2, tracks=2,
            frames_read=len(frames) if frames_read is None else frames_read, models=(), settings={},
            skeleton=skeleton, columns=describe_columns(raw=raw, long=long),
        )  # fmt: skip
        write_sidecar(path.with_suffix(".json"), sidecar)
        return path

    return write
