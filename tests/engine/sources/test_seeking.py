"""Starting a video anywhere: the same pictures and times as when read from the beginning."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engine.sources import open_source
from engine.sources.video import SEEK_BACK_S
from engine.structures import Frame

CLIPS: dict[str, dict[str, Any]] = {
    "b-frames.mp4": {},
    "b-frames.mkv": {},
    "b-frames.ts": {},
    "part2.mp4": {"codec": "mpeg4"},
    "part2.avi": {"codec": "mpeg4"},
    "jpegs.avi": {"codec": "mjpeg"},
    "open-groups.mpg": {"codec": "mpeg2video"},
    "hidden.webm": {"codec": "libvpx"},
    "no-times.h264": {},
    "late.mp4": {"times": [3.2 + index / 25 for index in range(40)]},
    "turned.mp4": {"turn": (90, False, False)},
    "one-key.mp4": {"key_frames": 1000},
}
TIMES = (0.03, 0.36, 0.41, 0.79, 1.2, 1.55, 1.57, 20.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seeking")


def read(path: Path, start_s: float = 0.0) -> list[Frame]:
    with open_source(path, start_s=start_s) as source:
        frames = list(source)
        assert (source.frames_dropped, source.missing_end) == (0, None)
        assert source.frames_read == len(frames)
    return frames


def assert_same(frames: list[Frame], expected: list[Frame]) -> None:
    assert [frame.time_s for frame in frames] == pytest.approx([frame.time_s for frame in expected])
    assert [frame.index for frame in frames] == [frame.index for frame in expected]
    for frame, other in zip(frames, expected, strict=True):
        assert np.array_equal(frame.image, other.image)


@pytest.mark.parametrize("name", CLIPS)
def test_what_follows_a_start_is_what_follows_it_in_the_whole(
    folder: Path, make_clip: Callable[..., Path], name: str
):
    path = make_clip(folder / name, 40, **CLIPS[name])
    whole = read(path)
    assert len(whole) == 40
    for start_s in TIMES:
        shown = max(frame.index for frame in whole if frame.time_s <= start_s + 0.02)
        assert_same(read(path, start_s), whole[shown:])


def test_of_a_variable_rate_the_frame_shown_at_the_time_comes_first(
    tmp_path: Path, make_clip: Callable[..., Path]
):
    path = make_clip(tmp_path / "v.mp4", times=[0.0, 0.04, 0.08, 0.5, 0.54, 1.5, 1.54, 1.58, 1.62, 1.66])
    whole = read(path)
    for start_s, shown in ((0.3, 2), (0.49, 3), (0.5, 3), (1.0, 4), (1.49, 5), (1.7, 9)):
        frames = read(path, start_s)
        assert [frame.time_s for frame in frames] == [frame.time_s for frame in whole[shown:]]
        assert np.array_equal(frames[0].image, whole[shown].image)
        assert [frame.index for frame in frames] == list(
            range(frames[0].index, frames[0].index + len(frames))
        )


def test_only_pictures_after_the_key_frame_are_decoded(
    clip: Path, monkeypatch: pytest.MonkeyPatch, make_clip: Callable[..., Path], tmp_path: Path
):
    path = make_clip(tmp_path / "long.mp4", 200)
    fed: list[int] = []
    feed = "engine.sources.video.LostPictures.feed"
    monkeypatch.setattr(feed, lambda lost, pts: fed.append(pts))
    with open_source(path, start_s=7.0) as source:
        first = next(iter(source))
    assert (first.index, first.time_s) == (175, 7.0)
    assert len(fed) < 60


def blank(source: Path, target: Path, indices: set[int]) -> Path:
    """Copy a clip with the pictures of these indices, in order of presentation, made unreadable."""
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    order = sorted(packet.pts for packet in packets)
    data = bytearray(source.read_bytes())
    for packet in packets:
        if order.index(packet.pts) in indices:
            data[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    target.write_bytes(data)
    return target


def test_damage_before_the_start_is_not_reported_and_damage_after_it_is(
    tmp_path: Path, make_clip: Callable[..., Path]
):
    whole = make_clip(tmp_path / "whole.avi", 40, codec="mjpeg")
    path = blank(whole, tmp_path / "damaged.avi", {0, 1, 18, 19, 30})
    with open_source(path, start_s=0.88) as source:
        assert source.warnings == []
        frames = list(source)
        assert [frame.index for frame in frames] == [*range(22, 30), *range(31, 40)]
        assert source.frames_dropped == 1
        assert source.warnings == ["picture 30 is damaged and skipped"]


def test_a_start_at_a_damaged_picture_shows_the_one_before_it(tmp_path: Path, make_clip: Callable[..., Path]):
    whole = make_clip(tmp_path / "whole.avi", 40, codec="mjpeg")
    with open_source(blank(whole, tmp_path / "damaged.avi", {20}), start_s=0.8) as source:
        assert [frame.index for frame in source] == [19, *range(21, 40)]
        assert source.frames_dropped == 1


def test_a_missing_end_is_noticed_from_any_start(tmp_path: Path, make_clip: Callable[..., Path]):
    whole = make_clip(tmp_path / "whole.mp4", 100, container_options={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    with open_source(cut, start_s=1.0) as source:
        frames = list(source)
        assert frames[0].index == 25
        assert source.missing_end is not None and "the file is cut short" in source.missing_end
    with open_source(cut, start_s=3.9) as source:
        assert [frame.index for frame in source] == [frames[-1].index]


def test_where_no_key_frame_is_found_in_time_reading_starts_at_the_beginning(
    clip: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = read(clip)
    monkeypatch.setattr("engine.sources.video._VideoReader._find", lambda *_: [])
    assert SEEK_BACK_S[0] == 0.0
    assert_same(read(clip, 0.6), whole[15:])
