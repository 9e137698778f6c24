"""What every source does, whatever it reads."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.sources import Source, open_source

KINDS = ("mp4", "mkv", "ts", "raw", "variable rate", "turned", "images", "stills")


@pytest.fixture(scope="session")
def openers(
    clip_folder: Path, clip: Path, image_folder: Path, make_clip: Callable[..., Path]
) -> dict[str, Callable[[], Source]]:
    folder = clip_folder / "contract"
    folder.mkdir()
    mkv, ts = make_clip(folder / "a.mkv"), make_clip(folder / "a.ts")
    raw = make_clip(folder / "a.h264", 12)
    variable = make_clip(folder / "v.mp4", times=[0.0, 0.03, 0.1, 0.5, 0.52, 0.9, 2.0, 2.01])
    turned = make_clip(folder / "t.mp4", 12, turn=(90, False, False))
    return {
        "mp4": lambda: open_source(clip),
        "mkv": lambda: open_source(mkv),
        "ts": lambda: open_source(ts),
        "raw": lambda: open_source(raw),
        "variable rate": lambda: open_source(variable),
        "turned": lambda: open_source(str(turned)),
        "images": lambda: open_source(image_folder, fps=10),
        "stills": lambda: open_source(image_folder, stills=True),
    }


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest, openers: dict[str, Callable[[], Source]]) -> Iterator[Source]:
    with openers[request.param]() as opened:
        yield opened


def test_frames_come_in_order_with_growing_times_and_are_counted(source: Source):
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len(frames) == source.frames_read >= 8
    assert source.frames_dropped == 0
    assert frames[0].time_s == 0.0
    assert (np.diff([frame.time_s for frame in frames]) > 0).all()


def test_frames_are_contiguous_bytes_of_the_size_that_was_announced(source: Source):
    for frame in source:
        assert frame.image.dtype == np.uint8
        assert frame.image.shape == (*source.info.size, 3)
        assert frame.image.flags.c_contiguous
        assert frame.wall_time is None


def test_the_announced_length_is_that_of_the_frames_where_one_is_announced(source: Source):
    count = len(list(source))
    assert source.info.frame_count in (count, None)
    assert not source.info.live


def test_each_frame_has_memory_of_its_own(source: Source):
    frames = list(source)
    copies = [frame.image.copy() for frame in frames]
    frames[0].image[:] = 0
    assert all(np.array_equal(frame.image, copy) for frame, copy in zip(frames[1:], copies[1:]))


def test_a_source_is_read_once(source: Source):
    first = len(list(source))
    assert first > 0
    assert list(source) == []
    assert source.frames_read == first


def test_closing_in_the_middle_ends_the_thread_and_the_frames(source: Source):
    before = threading.active_count()
    next(iter(source))
    assert threading.active_count() == before + 1
    source.close()
    assert threading.active_count() == before
    assert next(iter(source), None) is None
    assert source.frames_read == 1
    source.close()


def test_a_source_that_was_never_read_closes(source: Source):
    source.close()
    assert list(source) == []


def test_a_closed_video_can_be_deleted(clip: Path, tmp_path: Path):
    copy = Path(shutil.copy(clip, tmp_path / "copy.mp4"))
    with open_source(copy) as source:
        next(iter(source))
    copy.unlink()
    assert not copy.exists()
