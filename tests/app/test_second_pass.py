import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import av
import pytest
from typer.testing import Result

from app import recording, second_pass
from app.inputs import TrackInput
from app.outputs import OutputPaths, output_paths
from app.recording import WriteOptions, record
from app.summary import Summary
from engine.errors import SinkError, SourceError
from engine.pipeline import Pipeline
from engine.settings import EstimatorSettings, SmoothingSettings, TrackSettings
from engine.sinks.csv_file import CsvSink
from engine.skeleton import Skeleton
from engine.sources import open_source
from engine.tracking.offline import smooth_offline
from engine.tracking.recorded import ResultRecorder, smoothed_results

ROOT = Path(__file__).parents[2]
FRAMES = 24
BODY = Skeleton(
    name="body6",
    keypoints=("nose", "left_wrist", "right_wrist", "left_ankle", "right_ankle", "belly"),
    limbs=((0, 5), (1, 5), (2, 5), (3, 5), (4, 5)),
    flip_pairs=(),
    oks_sigmas=(0.1,) * 6,
)
"""The markers under names that OpenPose knows."""
Track = Callable[..., Result]


class Silent:
    def advance(self, frames: int, people: int) -> None:
        pass


class Stopping:
    """Asks for a stop from the `after`-th question on."""

    paused_s = 0.0

    def __init__(self, after: float = float("inf")) -> None:
        self.after, self.asked = after, 0

    @property
    def requested(self) -> bool:
        self.asked += 1
        return self.asked > self.after


@pytest.fixture(scope="module")
def pipeline(
    tmp_path_factory: pytest.TempPathFactory, write_marker_model: Callable[..., Path]
) -> Iterator[Pipeline]:
    path = tmp_path_factory.mktemp("models") / "body-bu.onnx"
    model = str(write_marker_model(path, "bottom-up", skeleton=BODY))
    settings = TrackSettings(estimator=EstimatorSettings(mode="bottom-up", threads=1, bottom_up_model=model))
    with closing(Pipeline(settings)) as pipeline:
        yield pipeline


@pytest.fixture
def live(pipeline: Pipeline, clip: Path, tmp_path: Path) -> bytes:
    """The CSV of a run without a second pass."""
    paths = make_paths(clip, tmp_path / "live")
    follow(pipeline, clip, paths, WriteOptions())
    return paths.csv.read_bytes()


def make_paths(clip: Path, out: Path, *, video: bool = False) -> OutputPaths:
    out.mkdir(exist_ok=True)
    return output_paths(TrackInput(clip, clip.name, "clip"), out, video=video)


def follow(
    pipeline: Pipeline, clip: Path, paths: OutputPaths, options: WriteOptions, after: float = float("inf")
) -> Summary:
    with open_source(clip) as source:
        return record(pipeline, source, paths, options, reporter=Silent(), stop=Stopping(after))


def told(paths: OutputPaths) -> dict:
    return json.loads(paths.sidecar.read_text("utf-8"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_rows_are_those_of_the_second_pass(pipeline: Pipeline, clip: Path, tmp_path: Path, live: bytes):
    paths = make_paths(clip, tmp_path / "out")
    summary = follow(pipeline, clip, paths, WriteOptions(offline=True))
    recorder = ResultRecorder()
    with open_source(clip) as source:
        for result in pipeline.run(source):
            recorder.add(result)
    whole = recorder.finish()
    tracks = smooth_offline(whole, pipeline.settings.tracker.smoothing, pipeline.skeleton)
    with closing(CsvSink(tmp_path / "expected.csv", pipeline.skeleton)) as sink:
        for result in smoothed_results(whole, tracks):
            sink.write(result)
    assert paths.csv.read_bytes() == (tmp_path / "expected.csv").read_bytes() != live
    assert told(paths)["status"] == "complete" and told(paths)["offline"] is True
    assert summary.offline and told(paths)["tracks"] == len(tracks) == 2
    assert names(tmp_path / "out") == ["clip.csv", "clip.json"]


def test_formats_that_come_with_the_frames_hold_the_rows_of_the_second_pass(
    pipeline: Pipeline, clip: Path, tmp_path: Path, live: bytes
):
    paths = make_paths(clip, tmp_path / "out")
    follow(pipeline, clip, paths, WriteOptions(offline=True, formats=("openpose", "csv-long", "coco")))
    with paths.csv.open(newline="") as stream:
        wide = next(csv.DictReader(stream))
    with (tmp_path / "out" / "clip.long.csv").open(newline="") as stream:
        long = next(csv.DictReader(stream))
    name = f"clip_{int(wide['frame']):012d}_keypoints.json"
    one = json.loads((tmp_path / "out" / "clip.openpose" / name).read_text())
    many = json.loads((tmp_path / "out" / "clip.coco.json").read_text())
    assert (long["frame"], long["x"], long["y"]) == (wide["frame"], wide["nose_x"], wide["nose_y"])
    assert len(list((tmp_path / "out" / "clip.openpose").iterdir())) == FRAMES
    assert one["people"][0]["pose_keypoints_2d"][0] == float(wide["nose_x"])
    assert many["annotations"][0]["keypoints"][0] == float(wide["nose_x"])


def test_the_video_shows_the_people_of_the_second_pass(
    pipeline: Pipeline, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shown: list[tuple[int, tuple[int, ...], list[str]]] = []

    class Watched(recording.AnnotatedVideoSink):
        def write(self, result: object) -> None:
            noses = [f"{person.keypoints[0, 0]:.3f}" for person in result.people]
            shown.append((result.frame.index, result.frame.image.shape, noses))
            super().write(result)

    monkeypatch.setattr(recording, "AnnotatedVideoSink", Watched)
    paths = make_paths(clip, tmp_path / "out", video=True)
    follow(pipeline, clip, paths, WriteOptions(offline=True))
    with paths.csv.open(newline="") as stream:
        expected = [row["nose_x"] for row in csv.DictReader(stream)]
    assert [index for index, _, _ in shown] == list(range(FRAMES))
    assert {shape for _, shape, _ in shown} == {(360, 640, 3)}
    assert [nose for _, _, noses in shown for nose in noses] == expected and expected
    with av.open(str(paths.video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_how_far_the_second_pass_is_is_told_step_by_step(pipeline: Pipeline, clip: Path, tmp_path: Path):
    steps: list[tuple[str, float]] = []
    paths = make_paths(clip, tmp_path / "out")
    with open_source(clip) as source:
        record(
            pipeline, source, paths, WriteOptions(offline=True), reporter=Silent(), stop=Stopping(),
            on_step=lambda step, share: steps.append((step, share)),
        )  # fmt: skip
    smoothing = [share for step, share in steps if step == "smoothing"]
    assert (smoothing[0], smoothing[-1]) == (0.0, 1.0) and smoothing == sorted(smoothing)
    assert steps[len(smoothing) :] == [("writing", number / FRAMES) for number in range(FRAMES)]


@pytest.mark.parametrize("after", [FRAMES, FRAMES + 1, FRAMES + 10])
def test_a_stop_in_the_second_pass_leaves_the_live_rows_and_nothing_else(
    pipeline: Pipeline, clip: Path, tmp_path: Path, live: bytes, after: int
):
    paths = make_paths(clip, tmp_path / "out", video=True)
    options = WriteOptions(offline=True, formats=("csv-long", "openpose", "coco"))
    summary = follow(pipeline, clip, paths, options, after)
    assert summary.interrupted and "the second pass was not finished" in summary.text()
    assert told(paths)["status"] == "interrupted" and told(paths)["offline"] is False
    assert names(tmp_path / "out") == ["clip.csv", "clip.json"] and paths.csv.read_bytes() == live


def test_a_stop_in_the_first_pass_does_without_the_second(
    pipeline: Pipeline, clip: Path, tmp_path: Path, live: bytes
):
    paths = make_paths(clip, tmp_path / "out")
    assert follow(pipeline, clip, paths, WriteOptions(offline=True), 9).interrupted
    assert live.startswith(paths.csv.read_bytes()) and told(paths)["offline"] is False


def test_a_full_disk_in_the_second_pass_fails_the_input_with_its_live_rows(
    pipeline: Pipeline, clip: Path, tmp_path: Path, live: bytes, monkeypatch: pytest.MonkeyPatch
):
    class Full(recording.AnnotatedVideoSink):
        def write(self, result: object) -> None:
            raise SinkError("clip.tracked.mp4 cannot be written: the disk is full")

    monkeypatch.setattr(recording, "AnnotatedVideoSink", Full)
    paths = make_paths(clip, tmp_path / "out", video=True)
    with pytest.raises(SinkError, match="disk is full"):
        follow(pipeline, clip, paths, WriteOptions(offline=True))
    assert names(tmp_path / "out") == ["clip.csv", "clip.json"] and paths.csv.read_bytes() == live
    assert told(paths)["status"] == "failed" and told(paths)["offline"] is False


def test_a_source_that_reads_differently_the_second_time_is_told(
    pipeline: Pipeline, clip: Path, tmp_path: Path, live: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(second_pass, "open_source", lambda path, **how: open_source(path, start_s=0.5, **how))
    paths = make_paths(clip, tmp_path / "out", video=True)
    with pytest.raises(SourceError, match="does not give its frame 0 again"):
        follow(pipeline, clip, paths, WriteOptions(offline=True))
    assert paths.csv.read_bytes() == live and not paths.video.exists()


KILLED = """
import os, signal, sys
from app import second_pass
from app.cli import cli

def smoothed_results(*given, whole=second_pass.smoothed_results):
    for number, result in enumerate(whole(*given)):
        if number == 12:
            os.kill(os.getpid(), signal.SIGKILL)
        yield result

second_pass.smoothed_results = smoothed_results
cli(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is POSIX")
def test_killed_in_the_second_pass_the_live_rows_are_whole_and_resume_does_the_rest(
    track: Track, clip: Path, tmp_path: Path, models: tuple[object, ...]
):
    out = tmp_path / "out"
    options = (clip, "--offline", "--video", "--format", "csv-long", "--mode", "bottom-up")
    arguments = [str(argument) for argument in ("track", *options, "--out", out, *models)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, capture_output=True)
    assert killed.returncode == -9 and any(".part." in name for name in names(out))
    assert json.loads((out / "clip.json").read_text())["status"] == "recording"
    live = (out / "clip.csv").read_bytes()
    assert track(*options, "--resume").exit_code == 0
    assert names(out) == ["clip.csv", "clip.json", "clip.long.csv", "clip.tracked.mp4"]
    resumed = (out / "clip.csv").read_bytes()
    assert track(clip, "--mode", "bottom-up", "--overwrite").exit_code == 0
    assert live == (out / "clip.csv").read_bytes() != resumed


def test_independent_pictures_have_no_second_pass(track: Track, marker_folder: Path, tmp_path: Path):
    result = track(marker_folder, "--stills", "--offline", "--mode", "bottom-up")
    assert result.exit_code == 0 and "independent pictures" in result.stderr
    assert json.loads((tmp_path / "out" / "frames.json").read_text())["offline"] is False


def test_its_options_reach_the_settings_and_need_it(track: Track, clip: Path, tmp_path: Path):
    refused = track(clip, "--fill-gap", 0.2)
    assert refused.exit_code == 2 and "--offline" in refused.stderr and not (tmp_path / "out").exists()
    chosen = ("--offline", "--fill-gap", 0.2, "--min-track", 0.1, "--mode", "bottom-up")
    assert track(clip, *chosen).exit_code == 0
    smoothing = json.loads((tmp_path / "out" / "clip.json").read_text())["settings"]["tracker"]["smoothing"]
    assert SmoothingSettings(**smoothing) == SmoothingSettings(fill_gap_s=0.2, min_track_s=0.1)
