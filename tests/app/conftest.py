import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from app.cli import cli

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
