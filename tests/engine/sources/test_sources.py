"""What `open_source` refuses, each with one clear sentence."""

import wave
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from engine.errors import SourceError, UsageError
from engine.sources import is_live, open_source


def write_sound(path: Path) -> Path:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    return path


def write_bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def write_header_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        container.start_encoding()
    return path


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("missing.mp4", lambda path: path, "no such file or folder"),
        ("empty.mp4", lambda path: write_bytes(path, b""), "is empty (0 bytes)"),
        ("text.mp4", lambda path: write_bytes(path, b"no video, but some text\n" * 200), "is no video"),
        ("short.mkv", lambda path: write_bytes(path, b"x"), "is no video"),
        ("zeros.avi", lambda path: write_bytes(path, bytes(5000)), "is no video"),
        ("sound.mp4", write_sound, "holds sound but no picture"),
        ("header.mp4", write_header_only, "holds no video"),
        ("text.png", lambda path: write_bytes(path, b"no image"), "the image cannot be read"),
    ],
)  # fmt: skip
def test_a_file_without_a_picture_is_refused(
    tmp_path: Path, name: str, make: Callable[[Path], Path], message: str
):
    with pytest.raises(SourceError) as caught:
        open_source(make(tmp_path / name))
    assert message in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_video_stream_without_a_picture_is_refused(tmp_path: Path, clip: Path):
    whole = clip.read_bytes()
    start = whole.index(b"mdat") + 4
    end = whole.index(b"moov") - 4
    path = write_bytes(tmp_path / "hollow.mp4", whole[:start] + bytes(end - start) + whole[end:])
    with pytest.raises(SourceError, match=r"none of its \d+ pictures can be decoded"):
        open_source(path)


def test_a_video_cut_off_before_its_description_is_refused(tmp_path: Path, clip: Path):
    path = write_bytes(tmp_path / "cut.mp4", clip.read_bytes()[:3000])
    with pytest.raises(SourceError, match="cut off before the part that describes it"):
        open_source(path)


def test_a_list_of_other_files_is_refused(tmp_path: Path, clip: Path):
    (tmp_path / "clip.mp4").symlink_to(clip)
    path = write_bytes(tmp_path / "list.mp4", b"ffconcat version 1.0\nfile clip.mp4\n")
    with pytest.raises(SourceError, match="a list of other files, no video"):
        open_source(path)


def test_a_playlist_does_not_reach_into_the_network(tmp_path: Path):
    text = b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    for name in ("list.m3u8", "list.mp4"):
        with pytest.raises(SourceError):
            open_source(write_bytes(tmp_path / name, text))


def test_the_cover_of_a_song_is_no_video(tmp_path: Path):
    path = tmp_path / "song.mkv"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        picture = cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1]
        container.add_attachment("cover.png", "image/png", picture.tobytes())
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        samples.sample_rate = 8000
        container.mux(sound.encode(samples))
        container.mux(sound.encode())
    with av.open(str(path)) as container:
        assert container.streams.video, "the cover should look like a video stream"
    with pytest.raises(SourceError, match="holds sound but no picture"):
        open_source(path)


@pytest.mark.parametrize(
    ("spec", "live"),
    [
        ("0", True), ("12", True), ("/dev/video3", True), ("rtsp://camera/live", True),
        ("http://host/clip.mp4", True), ("clip.mp4", False), ("/dev/null", False), ("camera0", False),
    ],
)  # fmt: skip
def test_cameras_and_streams_are_told_from_files_without_opening_them(spec: str, live: bool):
    assert is_live(spec) is live


@pytest.mark.parametrize("spec", ["7", "rtsp://127.0.0.1:1/live"])
def test_what_is_live_cannot_be_started_in_the_middle(spec: str):
    with pytest.raises(UsageError, match="start_s must be 0 for what is live, got 2"):
        open_source(spec, start_s=2.0)


@pytest.mark.parametrize("start_s", [-1.0, float("nan"), float("inf")])
def test_an_impossible_start_is_wrong_usage(clip: Path, start_s: float):
    with pytest.raises(UsageError, match="start_s must be a number of seconds from 0 on"):
        open_source(clip, start_s=start_s)


def test_a_folder_named_like_a_camera_is_a_folder(
    tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").symlink_to(image_folder)
    with open_source("0") as source:
        assert source.info.frame_count == 12


def test_a_device_is_neither_file_nor_folder():
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        open_source("/dev/null")


def test_a_colon_and_a_percent_sign_in_a_name_are_just_letters(
    tmp_path: Path, make_clip: Callable[..., Path]
):
    path = make_clip(tmp_path / "plain.mp4", 3).rename(tmp_path / "http:%03d ü.mp4")
    with open_source(path) as source:
        assert len(list(source)) == 3
        assert source.info.name == "http:%03d ü.mp4"


@pytest.mark.parametrize("fps", [0.0, -5.0, float("nan"), float("inf")])
def test_an_impossible_rate_is_wrong_usage(image_folder: Path, fps: float):
    with pytest.raises(UsageError, match="fps must be a number above 0"):
        open_source(image_folder, fps=fps)
