from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engine.errors import SourceError
from engine.sources import Source, open_source
from engine.structures import Image

ReadAll = Callable[[Source], list[tuple[int, float]]]


def packet_places(path: Path) -> list[tuple[int, int, int]]:
    """(index in order of presentation, byte position, bytes) of each packet, in file order."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    order = sorted(packet.pts for packet in packets)
    return [(order.index(packet.pts), packet.pos, packet.size) for packet in packets]


def damage(source: Path, target: Path, indices: list[int]) -> Path:
    """Copy a clip with the pictures of these indices made unreadable."""
    data = bytearray(source.read_bytes())
    for index, position, size in packet_places(source):
        if index in indices:
            data[position : position + size] = bytes(size)
    target.write_bytes(data)
    return target


def test_every_frame_is_the_one_that_was_encoded(clip: Path, grey_index: Callable[[Image], int]):
    with open_source(clip) as source:
        assert [grey_index(frame.image) for frame in source] == list(range(30))


def test_a_video_says_what_it_is(clip: Path):
    with open_source(clip) as source:
        info = source.info
    assert (info.name, info.path, info.size) == ("clip.mp4", clip, (96, 128))
    assert (info.fps, info.duration_s, info.frame_count) == (25.0, 1.2, 30)


def test_times_are_those_of_a_variable_rate(
    tmp_path: Path, make_clip: Callable[..., Path], read_all: ReadAll
):
    times = [0.0, 0.02, 0.1, 0.3, 0.3333, 1.0, 1.5, 1.51]
    with open_source(make_clip(tmp_path / "v.mp4", times=times)) as source:
        assert [time for _, time in read_all(source)] == pytest.approx(times, abs=1e-4)
        assert source.warnings == []


@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".mkv"])
def test_time_counts_from_the_beginning_of_the_stream_and_the_offset_is_kept(
    tmp_path: Path, make_clip: Callable[..., Path], suffix: str
):
    path = make_clip(tmp_path / f"late{suffix}", times=[3.2, 3.24, 3.28, 3.4])
    with open_source(path) as source:
        assert [frame.time_s for frame in source] == pytest.approx([0.0, 0.04, 0.08, 0.2], abs=2e-3)
        assert source.info.start_s == pytest.approx(3.2, abs=0.2)


def test_a_stream_without_timestamps_gets_them_from_its_rate(
    tmp_path: Path, make_clip: Callable[..., Path], read_all: ReadAll
):
    with open_source(make_clip(tmp_path / "raw.h264", 10)) as source:
        assert [time for _, time in read_all(source)] == pytest.approx(np.arange(10) / 25)
        assert source.warnings == [
            "frame 0 has no timestamp; where there is none, the time is computed from 25 frames per second"
        ]


def find_corner(image: Image, colour: int) -> str:
    """Return where a coloured corner of the painted frames lies: "top left" and so on."""
    others = [channel for channel in range(3) if channel != colour]
    inset = {"top": 4, "bottom": -5, "left": 4, "right": -5}
    for row in ("top", "bottom"):
        for column in ("left", "right"):
            pixel = image[inset[row], inset[column]].astype(int)
            if pixel[colour] > 180 and max(pixel[others]) < 90:
                return f"{row} {column}"
    return "nowhere"


@pytest.mark.parametrize(
    ("turn", "red", "green"),
    [
        ((0, False, False), "top left", "bottom left"),
        ((90, False, False), "bottom left", "bottom right"),
        ((180, False, False), "bottom right", "top right"),
        ((270, False, False), "top right", "top left"),
        ((0, True, False), "top right", "bottom right"),
        ((0, False, True), "bottom left", "top left"),
        ((90, True, False), "bottom right", "bottom left"),
        ((90, False, True), "top left", "top right"),
    ],
)
def test_a_turned_or_mirrored_video_is_shown_as_its_matrix_says(
    tmp_path: Path, make_clip: Callable[..., Path], turn: tuple[int, bool, bool], red: str, green: str
):
    with open_source(make_clip(tmp_path / "turned.mp4", 2, turn=turn)) as source:
        frame = next(iter(source))
        quarter = turn[0] in (90, 270)
        assert source.info.size == frame.image.shape[:2] == ((128, 96) if quarter else (96, 128))
        assert (find_corner(frame.image, 2), find_corner(frame.image, 1)) == (red, green)


def test_a_matrix_that_is_no_quarter_turn_is_left_with_a_warning(
    tmp_path: Path, make_clip: Callable[..., Path]
):
    with open_source(make_clip(tmp_path / "askew.mp4", 3, turn=(30, False, False))) as source:
        assert next(iter(source)).image.shape == (96, 128, 3)
        list(source)
        assert [warning for warning in source.warnings if "is no quarter turn" in warning] == source.warnings
        assert len(source.warnings) == 1


def test_unreadable_pictures_in_the_middle_are_skipped_and_keep_their_place(
    tmp_path: Path, make_clip: Callable[..., Path], read_all: ReadAll
):
    # Every picture a key frame, so that one lost picture is one lost picture.
    whole = make_clip(tmp_path / "keys.mp4", key_frames=1)
    with open_source(damage(whole, tmp_path / "holes.mp4", [4, 11, 12])) as source:
        frames = read_all(source)
        assert [index for index, _ in frames] == [i for i in range(30) if i not in (4, 11, 12)]
        assert [time for _, time in frames] == pytest.approx([index / 25 for index, _ in frames])
        assert (source.frames_read, source.frames_dropped) == (27, 3)
        assert source.warnings == [
            "picture 4 is damaged and skipped",
            "pictures 11 to 12 are damaged and skipped",
        ]


def test_unreadable_pictures_at_both_ends_are_counted_too(
    tmp_path: Path, make_clip: Callable[..., Path], read_all: ReadAll
):
    whole = make_clip(tmp_path / "keys.mp4", key_frames=1)
    with open_source(damage(whole, tmp_path / "ends.mp4", [0, 1, 29])) as source:
        frames = read_all(source)
        assert frames[0] == (2, pytest.approx(0.08))
        assert frames[-1] == (28, pytest.approx(1.12))
        assert (source.frames_read, source.frames_dropped) == (27, 3)


def test_a_damaged_reference_picture_between_others_is_one_hole(
    tmp_path: Path, clip: Path, read_all: ReadAll
):
    with open_source(damage(clip, tmp_path / "hole.mp4", [13])) as source:
        assert 13 not in [index for index, _ in read_all(source)]
        assert source.frames_read + source.frames_dropped == 30


def test_many_damaged_pictures_leave_a_bounded_list_of_warnings(
    tmp_path: Path, make_clip: Callable[..., Path], read_all: ReadAll
):
    whole = make_clip(tmp_path / "keys.mp4", 60, key_frames=1, size=(48, 64))
    with open_source(damage(whole, tmp_path / "holes.mp4", list(range(1, 60, 2)))) as source:
        assert len(read_all(source)) == 30
        assert source.frames_dropped == 30
        assert len(source.warnings) == 21
        assert source.warnings[-1] == "10 more warnings like these"
        assert source.missing_end is None


@pytest.mark.parametrize(("name", "options"), [("cut.mp4", {"movflags": "faststart"}), ("cut.mkv", None)])
def test_a_file_cut_short_gives_its_readable_frames_and_says_so(
    tmp_path: Path,
    make_clip: Callable[..., Path],
    name: str,
    options: dict[str, str] | None,
    read_all: ReadAll,
):
    path = make_clip(tmp_path / name, container_options=options)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    with open_source(path) as source:
        frames = read_all(source)
        assert 8 <= len(frames) < 30
        assert [index for index, _ in frames] == list(range(len(frames)))
        assert "the file is cut short: it ends after" in source.warnings[-1]
        assert "of the 1.200 s it promises" in source.warnings[-1]
        assert source.missing_end == source.warnings[-1]
    assert source.missing_end == source.warnings[-1]


def test_a_whole_file_with_a_long_last_frame_is_not_called_cut_short(
    tmp_path: Path, make_clip: Callable[..., Path], read_all: ReadAll
):
    with open_source(make_clip(tmp_path / "slow.mkv", times=[0.0, 0.04, 0.08, 2.0])) as source:
        read_all(source)
        assert source.warnings == []
        assert source.missing_end is None


def test_joined_recordings_of_two_sizes_become_one_video(
    tmp_path: Path, make_clip: Callable[..., Path], read_all: ReadAll
):
    parts = [make_clip(tmp_path / f"{size[1]}.ts", size=size) for size in ((96, 128), (144, 192))]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with open_source(joined) as source:
        frames = list(source)
        assert len(frames) == 60
        assert {frame.image.shape for frame in frames} == {(96, 128, 3)}
        steps = np.diff([frame.time_s for frame in frames])
        assert (steps > 0).all()
        assert steps.max() < 0.1
        assert source.frames_dropped == 0
        assert any("they are scaled into the 128x96 of the first" in text for text in source.warnings)
        assert any("timestamps begin anew at frame 30" in text for text in source.warnings)


def test_hidden_reference_pictures_are_no_losses(
    tmp_path: Path, make_clip: Callable[..., Path], read_all: ReadAll
):
    with open_source(make_clip(tmp_path / "vp8.webm", codec="libvpx", size=(64, 64))) as source:
        assert len(read_all(source)) == 30
        assert (source.frames_dropped, source.warnings) == (0, [])


class Flawed:
    """A container that fails several times to find the next packet after some have been found."""

    def __init__(self, container: Any, error: Exception, after: int, times: int) -> None:
        self._container, self._error, self._left, self._times = container, error, after, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def demux(self, stream: av.VideoStream) -> Iterator[av.Packet]:
        packets = self._container.demux(stream)
        while True:
            if self._left <= 0 < self._times:
                self._times -= 1
                raise self._error
            packet = next(packets, None)
            if packet is None:
                return
            self._left -= 1
            yield packet


@pytest.fixture
def open_flawed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Source]:
    def open_one(path: Path, error: Exception, *, after: int, times: int) -> Source:
        opened = av.open
        monkeypatch.setattr(
            "engine.sources.video.av.open",
            lambda *args, **kw: Flawed(opened(*args, **kw), error, after, times),
        )
        return open_source(path)

    return open_one


def test_reading_goes_on_behind_a_place_where_no_packet_is_found(
    clip: Path, open_flawed: Callable[..., Source], read_all: ReadAll
):
    with open_flawed(clip, av.InvalidDataError(1, "bad"), after=12, times=3) as source:
        assert len(read_all(source)) == 30
        assert (source.frames_dropped, source.warnings) == (0, [])


def test_a_place_that_reading_never_gets_past_ends_the_video_with_a_warning(
    clip: Path, open_flawed: Callable[..., Source], read_all: ReadAll
):
    with open_flawed(clip, av.InvalidDataError(1, "bad"), after=12, times=10**9) as source:
        frames = read_all(source)
        # Those that the decoder still held are shown too; reordering may leave holes before the last.
        assert 10 <= len(frames) <= 12
        assert any("the rest of the file is damaged" in text for text in source.warnings)


def test_a_disk_that_fails_is_an_error_after_the_frames_before_it(
    clip: Path, open_flawed: Callable[..., Source]
):
    frames = []
    with open_flawed(clip, av.OSError(5, "Input/output error"), after=12, times=1) as source:
        with pytest.raises(SourceError, match=r"cannot be read on after frame \d+: Input/output error"):
            frames.extend(frame.index for frame in source)
        assert frames == list(range(source.frames_read))
        assert source.frames_read >= 5
        assert list(source) == []


@pytest.mark.shared_data
def test_a_recorded_clip_is_read_to_its_end(read_all: ReadAll):
    path = Path(__file__).parents[4] / "shared" / "data" / "clips" / "sports2d_demo.mp4"
    if not path.exists():
        pytest.skip("the development data folder is not beside the checkout")
    with open_source(path) as source:
        frames = read_all(source)
        assert len(frames) == source.info.frame_count
        assert (source.frames_dropped, source.warnings) == (0, [])
