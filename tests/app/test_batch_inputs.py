"""Videos of every odd kind in one batch: each is tracked, or is one clear line, and the others are done."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from app.inputs import TrackInput
from app.outputs import output_paths
from app.recording import WriteOptions, record
from engine.pipeline import Pipeline
from engine.settings import TrackSettings
from engine.sources import open_source
from engine.structures import Frame, Image, Person

CLOCK = 90_000
ROOT = Path(__file__).parents[2]
Paint = Callable[[int], Image]


def write_video(
    path: Path,
    images: Sequence[Image],
    *,
    times: Sequence[float] | None = None,
    turn: int | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode images at 30 a second or at given times, in seconds, without B-frames."""
    height, width = images[0].shape[:2]
    chosen = {"preset": "ultrafast", "bf": "0", "g": "10"}
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("libx264", rate=30, options=chosen)
        stream.height, stream.width = height, width
        stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
        if turn is not None:
            stream.set_display_rotation(turn, hflip=False, vflip=False)
        stream.codec_context.time_base = Fraction(1, CLOCK)
        for index, image in enumerate(images):
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            picture.pts = round((index / 30 if times is None else times[index]) * CLOCK)
            picture.time_base = Fraction(1, CLOCK)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    marker_image: Callable[..., Image],
    walking_pair: Callable[[int], list[np.ndarray]],
) -> Path:
    folder = tmp_path_factory.mktemp("kinds")

    def paint(count: int, size: tuple[int, int] = (360, 640)) -> list[Image]:
        return [marker_image(size, walking_pair(index)) for index in range(count)]

    write_video(folder / "variable.mkv", paint(8), times=[0, 0.03, 0.10, 0.11, 0.30, 0.34, 0.50, 1.0])
    write_video(folder / "turned.mp4", [np.rot90(image).copy() for image in paint(8)], turn=-90)
    write_video(folder / "odd.mkv", paint(8, (361, 641)))
    write_video(folder / "large.mp4", paint(2, (2160, 3840)))
    write_video(folder / "single.mp4", paint(1))
    write_video(folder / "nobody.mp4", [np.full((360, 640, 3), 90, np.uint8)] * 8)
    write_video(folder / "ten-hours.mkv", paint(5), times=[0, 9_000, 18_000, 27_000, 36_000])
    # Of the usual containers only this one keeps times before 0.
    before_zero = [(index - 4) / 30 for index in range(8)]
    write_video(
        folder / "negative.ts", paint(8), times=before_zero, options={"avoid_negative_ts": "disabled"}
    )
    whole = write_video(folder / "cut.mkv", paint(40)).read_bytes()
    (folder / "cut.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    return folder


@pytest.fixture(scope="module")
def done(folder: Path, tmp_path_factory: pytest.TempPathFactory, top_down_file: Path, bottom_up_file: Path):
    """Exit code, stderr and folder of one batch over all of them."""
    out = tmp_path_factory.mktemp("kinds-out")
    models = ["--top-down-model", top_down_file, "--bottom-up-model", bottom_up_file, "--threads", 1]
    arguments = ["track", folder, "--out", out, "--keep-empty", "--jobs", 1, "--mode", "top-down", *models]
    command = [sys.executable, "-m", "app", *(str(argument) for argument in arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    return result.returncode, result.stderr, out


def rows(out: Path, stem: str) -> list[dict[str, str]]:
    with (out / f"{stem}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def told(out: Path, stem: str) -> dict:
    return json.loads((out / f"{stem}.json").read_text("utf-8"))


def test_only_the_one_that_is_cut_short_fails(done):
    code, stderr, out = done
    assert code == 1 and "Traceback" not in stderr
    errors = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and "cut.mkv" in errors[0] and "cut short" in errors[0]
    with (out / "steadypose-batch.csv").open(newline="", encoding="utf-8") as stream:
        states = {Path(row["input"]).stem: row["status"] for row in csv.DictReader(stream)}
    assert states.pop("cut") == "failed"
    assert len(states) == 8 and set(states.values()) == {"complete"}
    assert len({row["frame"] for row in rows(out, "cut")}) == told(out, "cut")["frames_read"] > 10


@pytest.mark.parametrize(
    ("stem", "frames"),
    [("variable", 8), ("turned", 8), ("odd", 8), ("large", 2), ("single", 1), ("nobody", 8), ("negative", 8)],
)
def test_every_frame_is_accounted_for(done, stem: str, frames: int):
    side = told(done[2], stem)
    assert (side["frames_read"], side["frames_dropped"]) == (frames, 0)
    assert side["performance"]["frames_written"] == frames
    assert {int(row["frame"]) for row in rows(done[2], stem)} == set(range(frames))


def test_times_of_a_variable_rate_are_kept(done):
    times = sorted({float(row["time_s"]) for row in rows(done[2], "variable")})
    np.testing.assert_allclose(times, [0, 0.03, 0.10, 0.11, 0.30, 0.34, 0.50, 1.0], atol=0.002)


def test_a_turned_video_has_people_where_they_are_seen(done):
    side = told(done[2], "turned")["source"]
    assert (side["width"], side["height"]) == (640, 360)
    upright = [row for row in rows(done[2], "turned") if row["track_id"]]
    straight = [row for row in rows(done[2], "negative") if row["track_id"]]
    assert len(upright) == len(straight) > 0
    heads = [[(float(row["head_x"]), float(row["head_y"])) for row in found] for found in (upright, straight)]
    np.testing.assert_allclose(*heads, atol=3.0)


def test_odd_and_large_sizes_are_those_of_the_file(done):
    sizes = {stem: told(done[2], stem)["source"] for stem in ("odd", "large")}
    assert (sizes["odd"]["width"], sizes["odd"]["height"]) == (641, 361)
    assert (sizes["large"]["width"], sizes["large"]["height"]) == (3840, 2160)


def test_a_video_without_people_has_empty_rows_only(done):
    assert [row["track_id"] for row in rows(done[2], "nobody")] == [""] * 8
    assert told(done[2], "nobody")["tracks"] == 0


def test_times_after_ten_hours_are_exact(done):
    assert rows(done[2], "ten-hours")[-1]["time_s"] == "36000.000000"
    assert told(done[2], "ten-hours")["frames_read"] == 5


def test_times_before_zero_begin_at_zero_and_the_offset_is_told(done):
    times = sorted({float(row["time_s"]) for row in rows(done[2], "negative")})
    np.testing.assert_allclose(times, np.arange(8) / 30, atol=0.002)
    assert told(done[2], "negative")["source"]["start_s"] == pytest.approx(-4 / 30, abs=0.002)


class Crowd:
    """An estimator that sees the same hundred people in every frame."""

    choice: dict[str, object] = {"mode": "crowd"}  # noqa: RUF012 - as the protocol has it
    heatmap_wanted, heatmap, models = False, None, ()

    def __init__(self, count: int) -> None:
        from engine.skeleton import COCO17

        self.skeleton = COCO17
        shape = np.random.default_rng(0).uniform(0, 60, (COCO17.count, 2)).astype(np.float32)
        places = [(column * 120.0, row * 100.0) for row in range(10) for column in range(count // 10)]
        self.people = [self._person(shape + np.float32(place)) for place in places]

    def _person(self, keypoints: np.ndarray) -> Person:
        bbox = np.concatenate([keypoints.min(0), keypoints.max(0)])
        return Person(keypoints, np.full(len(keypoints), 0.9, np.float32), bbox, 0.9, found=0.9)

    def start(self, frame_rate: float) -> None:
        pass

    def announce(self, frame: Frame) -> None:
        pass

    def release(self) -> None:
        pass

    def estimate_frame(self, frame: Frame, tracks: object, watch: object) -> list[Person]:
        return list(self.people)


def test_a_hundred_people_keep_their_ids(tmp_path: Path):
    video = write_video(tmp_path / "crowd.mp4", [np.zeros((1000, 1200, 3), np.uint8)] * 12)
    settings = TrackSettings.model_validate({"tracker": {"max_people": 100}})
    paths = output_paths(TrackInput(video, "crowd", "crowd"), tmp_path, video=False)
    with closing(Pipeline(settings, estimator=Crowd(100))) as pipeline, open_source(video) as source:
        summary = record(pipeline, source, paths, WriteOptions(), reporter=Quiet(), stop=Never())
    assert (summary.most_people, len(summary.track_ids)) == (100, 100)
    assert len([row for row in rows(tmp_path, "crowd") if row["frame"] == "11"]) == 100


class Quiet:
    def advance(self, frames: int, people: int) -> None:
        pass


class Never:
    requested, paused_s = False, 0.0


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files, which is POSIX")
def test_a_disk_without_room_fails_each_input_with_its_line_and_keeps_whole_rows(
    tmp_path: Path, write_clip: Callable[..., Path], models: tuple[object, ...]
):
    for name in ("first", "second"):
        write_clip(tmp_path / f"{name}.mp4", 90)
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (12000, 12000)); "
    inputs = [tmp_path / "first.mp4", tmp_path / "second.mp4"]
    arguments = ["track", *inputs, "--out", tmp_path / "out", *models, "--mode", "top-down"]
    code = f"{limit}from app.cli import cli; cli({[str(argument) for argument in arguments]!r})"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 1 and "Traceback" not in result.stderr, result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 2 and all("larger than is allowed" in line for line in errors)
    for name in ("first", "second"):
        assert told(tmp_path / "out", name)["status"] == "failed"
        data = (tmp_path / "out" / f"{name}.csv").read_bytes()
        assert data.endswith(b"\r\n") and len({line.count(b",") for line in data.splitlines()}) == 1
        assert 10_000 < len(data) <= 12_000
