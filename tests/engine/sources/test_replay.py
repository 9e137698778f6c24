import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.errors import UsageError
from engine.sources import open_source
from engine.sources.live import LiveSource
from engine.sources.replay import ReplayReader
from engine.structures import Image


def test_a_file_played_as_a_camera_goes_round_and_round_at_its_own_pace(
    tmp_path: Path, make_clip: Callable[..., Path], grey_index: Callable[[Image], int]
):
    path = make_clip(tmp_path / "short.mp4", 8, rate=40)
    begun = time.monotonic()
    with open_source(path, as_camera=True) as source:
        assert isinstance(source, LiveSource)
        assert (source.info.name, source.info.path, source.info.live) == ("short.mp4", path, True)
        assert (source.info.size, source.info.fps, source.info.duration_s) == ((96, 128), 40.0, None)
        seen = {}
        for frame in source:
            seen[frame.index] = grey_index(frame.image)
            if frame.index >= 20:
                break
    assert time.monotonic() - begun > 20 / 40 * 0.9
    assert all(grey == index % 8 for index, grey in seen.items())
    assert source.warnings == []


def test_frames_carry_the_times_at_which_they_were_due(clip: Path):
    with open_source(clip, as_camera=True) as source:
        frames = [next(source) for _ in range(6)]
    steps = np.array([frame.time_s * 25 for frame in frames])
    assert steps == pytest.approx([frame.index for frame in frames], abs=0.01)


def test_a_recording_that_fell_behind_goes_on_from_now(clip: Path):
    reader = ReplayReader(lambda: open_source(clip), threading.Event())
    reader.read()
    time.sleep(0.4)
    picture = reader.read()
    assert picture is not None
    assert picture[1] == pytest.approx(time.monotonic(), abs=0.2)
    reader.close()


def test_a_folder_of_images_plays_too(image_folder: Path):
    with open_source(image_folder, fps=50, as_camera=True) as source:
        assert (source.info.size, source.info.fps) == ((48, 64), 50)
        assert next(source).image.shape == (48, 64, 3)


def test_closing_while_the_next_frame_is_far_away_is_quick(tmp_path: Path, make_clip: Callable[..., Path]):
    source = open_source(make_clip(tmp_path / "slow.mp4", times=[0.0, 30.0]), as_camera=True)
    next(source)
    begun = time.monotonic()
    source.close()
    assert time.monotonic() - begun < 1.5


def test_what_is_live_cannot_be_started_in_the_middle(clip: Path):
    with pytest.raises(UsageError, match="start_s must be 0 for what is live"):
        open_source(clip, as_camera=True, start_s=1.0)
