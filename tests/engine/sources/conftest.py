"""Tiny clips made on the spot, and a watch over threads that outlive their test."""

import threading
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engine.sources import Source
from engine.structures import Image

CLOCK = 90_000
STEP = 7
"""Grey levels between one frame of a clip and the next."""


def paint_frame(index: int, size: tuple[int, int]) -> Image:
    """(H, W, 3) uint8: red top left, green bottom left, noise on the right, and grey that tells the index."""
    height, width = size
    image = np.full((height, width, 3), 20 + STEP * (index % 30), np.uint8)
    corner = height // 4
    image[:corner, :corner] = (0, 0, 255)
    image[-corner:, :corner] = (0, 255, 0)
    noise = np.random.default_rng(index).integers(0, 255, (height // 2, width // 4, 3), dtype=np.uint8)
    image[: height // 2, -(width // 4) :] = noise
    return image


def write_clip(
    path: Path,
    count: int = 30,
    *,
    rate: int = 25,
    size: tuple[int, int] = (96, 128),
    codec: str = "libx264",
    times: Sequence[float] | None = None,
    turn: tuple[int, bool, bool] | None = None,
    key_frames: int = 10,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode `count` painted frames, or one at each of `times`; `turn` is degrees, mirrored, upside down."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = key_frames
        if turn is not None:
            stream.set_display_rotation(turn[0], hflip=turn[1], vflip=turn[2])
        if times is not None:
            stream.codec_context.time_base = Fraction(1, CLOCK)
        for index in range(count if times is None else len(times)):
            picture = av.VideoFrame.from_ndarray(paint_frame(index, size), format="bgr24")
            picture.pts = index if times is None else round(times[index] * CLOCK)
            picture.time_base = Fraction(1, rate) if times is None else Fraction(1, CLOCK)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def read_grey_index(image: Image) -> int:
    """Return the index that `paint_frame` wrote into the grey of a frame, modulo 30."""
    height, width = image.shape[:2]
    middle = image[height * 2 // 3 : height * 2 // 3 + 8, width // 2 - 4 : width // 2 + 4]
    return round((float(middle.mean()) - 20) / STEP)


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    return write_clip


@pytest.fixture(scope="session")
def grey_index() -> Callable[[Image], int]:
    return read_grey_index


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def clip(clip_folder: Path) -> Path:
    """30 frames, 25 a second, 128 x 96, with B-frames."""
    return write_clip(clip_folder / "clip.mp4")


@pytest.fixture(scope="session")
def image_folder(clip_folder: Path) -> Path:
    """12 images, frame1.png to frame12.png."""
    folder = clip_folder / "images"
    folder.mkdir()
    for index in range(12):
        cv2.imwrite(str(folder / f"frame{index + 1}.png"), paint_frame(index, (48, 64)))
    return folder


@pytest.fixture(scope="session")
def read_all() -> Callable[[Source], list[tuple[int, float]]]:
    """Function that reads a source to its end: index and time of every frame."""

    def read(source: Source) -> list[tuple[int, float]]:
        return [(frame.index, frame.time_s) for frame in source]

    return read


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not left, f"threads left behind: {left}"
