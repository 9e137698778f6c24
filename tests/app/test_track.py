import csv
import json
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import onnx
import pytest
from typer.testing import Result

from app import recording
from engine.errors import SinkError
from engine.skeleton import COCO17

Track = Callable[..., Result]
WriteClip = Callable[..., Path]
FRAMES = 24


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def sidecar(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def error_lines(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("error:")]


def test_a_video_goes_in_and_rows_sidecar_and_video_come_out(track: Track, clip: Path, tmp_path: Path):
    result = track(clip, "--video")
    assert result.exit_code == 0, result.stderr
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["clip.csv", "clip.json", "clip.tracked.mp4"]
    found = rows(out / "clip.csv")
    assert {row["track_id"] for row in found} == {"1", "2"}
    assert int(found[-1]["frame"]) == FRAMES - 1
    told = sidecar(out / "clip.json")
    assert (told["status"], told["frames_read"], told["tracks"]) == ("complete", FRAMES, 2)
    assert told["performance"]["frames_written"] == FRAMES
    assert {model["name"] for model in told["models"]} == {"markers-td", "markers-bu"}
    assert f"{FRAMES} frames, 2 tracks, at most 2 people at once" in result.stdout
    assert all(str(out / name) in result.stdout for name in ("clip.csv", "clip.json", "clip.tracked.mp4"))
    assert result.stderr == ""
    with av.open(str(out / "clip.tracked.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_a_folder_of_images_is_one_sequence_at_the_given_rate(
    track: Track, marker_folder: Path, tmp_path: Path
):
    assert track(marker_folder, "--fps", "10").exit_code == 0
    found = rows(tmp_path / "out" / "frames.csv")
    assert {row["track_id"] for row in found} == {"1", "2"}
    assert found[-1]["time_s"] == "2.300000"


def test_stills_are_independent_pictures(track: Track, marker_folder: Path, tmp_path: Path):
    assert track(marker_folder, "--stills").exit_code == 0
    found = rows(tmp_path / "out" / "frames.csv")
    assert [row["frame"] for row in found] == [str(frame) for frame in range(24) for _ in range(2)]
    assert sidecar(tmp_path / "out" / "frames.json")["source"]["stills"] is True


def test_the_csv_has_the_columns_that_were_asked_for(track: Track, clip: Path, tmp_path: Path):
    assert track(clip, "--raw", "--keep-empty").exit_code == 0
    found = rows(tmp_path / "out" / "clip.csv")
    assert "head_raw_x" in found[0]
    assert next(row["frame"] for row in found if not row["track_id"]) == "0"
    assert {int(row["frame"]) for row in found} == set(range(FRAMES))
    assert track(clip, "--long", "--overwrite").exit_code == 0
    assert list(rows(tmp_path / "out" / "clip.csv")[0])[-5:] == ["keypoint", "x", "y", "score", "state"]


def test_options_reach_the_settings(track: Track, clip: Path, tmp_path: Path):
    options = ("--mode", "bottom-up", "--smoothing", "none", "--max-people", 7, "--find-interval", 0.5)
    assert track(clip, *options, "--runtime", "onnxruntime", "--precision", "fp32").exit_code == 0
    told = sidecar(tmp_path / "out" / "clip.json")
    assert [(model["runtime"], model["kind"]) for model in told["models"]] == [("onnxruntime", "bottom-up")]
    estimator, tracker = told["settings"]["estimator"], told["settings"]["tracker"]
    assert (estimator["mode"], estimator["find_interval_s"], estimator["precision"]) == (
        "bottom-up",
        0.5,
        "fp32",
    )
    assert (estimator["max_people"], tracker["max_people"]) == (7, 7)
    assert tracker["smoothing"]["method"] == "none"


def test_quiet_says_nothing(track: Track, clip: Path):
    result = track(clip, "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_verbose_tells_what_was_chosen_and_how_long_it_took(track: Track, clip: Path):
    result = track(clip, "-v")
    assert "auto: top-down" in result.stderr and "openvino" in result.stderr and "fp32" in result.stderr
    assert "mean per frame" in result.stderr and "infer" in result.stderr


def make_bad_input(kind: str, folder: Path, write_clip: WriteClip) -> Path:
    path = folder / f"bad-{kind}.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("this is no video\n" * 50)
    elif kind == "cut":
        whole = write_clip(folder / "whole.mp4").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        (folder / "whole.mp4").unlink()
    elif kind == "no-frame":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            container.start_encoding()
    elif kind == "sound":
        with wave.open(str(path), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(bytes(16000))
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "no such file"),
        ("empty", "is empty"),
        ("text", "no video"),
        ("cut", "cut off"),
        ("no-frame", "video"),
        ("sound", "sound but no picture"),
    ],
)
def test_a_bad_input_is_named_in_one_line_and_the_others_are_done(
    track: Track, clip: Path, write_clip: WriteClip, tmp_path: Path, kind: str, says: str
):
    bad = make_bad_input(kind, tmp_path, write_clip)
    result = track(bad, clip)
    assert result.exit_code == 1
    (line,) = error_lines(result)
    assert bad.name in line and says in line
    assert "Traceback" not in result.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["clip.csv", "clip.json", "steadypose-batch.csv"]
    assert sidecar(tmp_path / "out" / "clip.json")["status"] == "complete"


def test_a_video_without_its_end_fails_but_keeps_the_rows_up_to_there(
    track: Track, write_clip: WriteClip, tmp_path: Path
):
    whole = write_clip(tmp_path / "whole.mkv", 60).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    result = track(tmp_path / "cut.mkv")
    assert result.exit_code == 1
    (line,) = error_lines(result)
    assert "cut.mkv" in line and "cut short" in line and "cut.csv" in line
    assert int(rows(tmp_path / "out" / "cut.csv")[-1]["frame"]) > 20
    told = sidecar(tmp_path / "out" / "cut.json")
    assert told["status"] == "failed" and "cut short" in told["message"]


def test_an_image_that_cannot_be_read_is_skipped_with_a_warning(
    track: Track, marker_folder: Path, tmp_path: Path
):
    folder = tmp_path / "holes"
    folder.mkdir()
    for image in marker_folder.iterdir():
        (folder / image.name).write_bytes(image.read_bytes() if image.stem != "0010" else b"damaged")
    result = track(folder)
    assert result.exit_code == 0
    assert "0010.png" in result.stderr and error_lines(result) == []
    told = sidecar(tmp_path / "out" / "holes.json")
    assert (told["status"], told["frames_read"], told["frames_dropped"]) == ("complete", 23, 1)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("foreign", "without a SteadyPose model spec"),
        ("cut", "cut short"),
        ("skeleton", "skeleton"),
        ("none", "exist"),
    ],
)
def test_a_model_that_cannot_be_used_stops_everything_before_it_starts(
    invoke: Track, clip: Path, tmp_path: Path, bottom_up_file: Path, write_marker_model: Callable[..., Path],
    kind: str, says: str,
):  # fmt: skip
    path = tmp_path / "bad.onnx"
    if kind == "skeleton":
        write_marker_model(path, "bottom-up", skeleton=COCO17)
    elif kind == "cut":
        path.write_bytes(bottom_up_file.read_bytes()[:200])
    elif kind == "foreign":
        network = onnx.load(str(bottom_up_file))
        del network.metadata_props[:]
        onnx.save(network, str(path))
    result = invoke(
        "track", clip, "--out", tmp_path / "out", "--bottom-up-model", path, "--mode", "bottom-up"
    )
    assert result.exit_code == 2
    (line,) = error_lines(result)
    assert "bad.onnx" in line and says in line
    assert list((tmp_path / "out").iterdir()) == []


def test_models_of_the_wrong_kind_are_refused(invoke: Track, clip: Path, tmp_path: Path, top_down_file: Path):
    result = invoke("track", clip, "--out", tmp_path / "out", "--bottom-up-model", top_down_file)
    assert result.exit_code == 2 and "bottom-up model is needed" in result.stderr


def test_a_folder_that_cannot_be_written_stops_everything_before_models_are_loaded(
    invoke: Track, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def never(*_: object, **__: object):
        raise AssertionError("a model was opened")

    monkeypatch.setattr("app.batch_task.Pipeline", never)
    (tmp_path / "file").write_bytes(b"")
    result = invoke("track", clip, "--out", tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert len(error_lines(result)) == 1 and "cannot be written" in result.stderr


def test_inputs_of_one_name_are_refused_before_anything_is_written(
    track: Track, clip: Path, write_clip: WriteClip, tmp_path: Path
):
    other = write_clip(tmp_path / "clip.mkv", 5)
    result = track(clip, other)
    assert result.exit_code == 2
    assert str(clip) in result.stderr and str(other) in result.stderr
    assert not (tmp_path / "out").exists()


def test_results_that_exist_are_kept_unless_they_may_be_replaced(track: Track, clip: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clip.csv").write_text("precious")
    result = track(clip)
    assert result.exit_code == 1 and "--overwrite" in result.stderr
    assert (tmp_path / "out" / "clip.csv").read_text() == "precious"
    assert track(clip, "--overwrite").exit_code == 0
    assert rows(tmp_path / "out" / "clip.csv")


def fail_after(frames: int, error: Exception) -> type:
    class FailingSink(recording.CsvSink):
        count = 0

        def write(self, result):
            self.count += 1
            if self.count > frames:
                raise error
            super().write(result)

    return FailingSink


def test_a_full_disk_fails_the_input_with_its_rows_kept(
    track: Track, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    full = SinkError(f"{tmp_path / 'out' / 'clip.csv'} cannot be written: the disk is full")
    monkeypatch.setattr(recording, "CsvSink", fail_after(12, full))
    result = track(clip, "--video")
    assert result.exit_code == 1
    assert len(error_lines(result)) == 1 and "the disk is full" in result.stderr
    assert rows(tmp_path / "out" / "clip.csv")[-1]["frame"] == "11"
    told = sidecar(tmp_path / "out" / "clip.json")
    assert told["status"] == "failed" and "disk is full" in told["message"]


@pytest.mark.parametrize("flags", [(), ("-vv",)])
def test_a_defect_in_one_input_does_not_end_the_batch(
    track: Track, clip: Path, write_clip: WriteClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    flags: tuple[str, ...],
):  # fmt: skip
    failing = fail_after(3, ZeroDivisionError("nought"))
    sinks = iter([failing, recording.CsvSink])
    monkeypatch.setattr(recording, "CsvSink", lambda *args, **kwargs: next(sinks)(*args, **kwargs))
    result = track(write_clip(tmp_path / "a.mp4", 6), clip, *flags)
    assert result.exit_code == 1
    assert "unexpected ZeroDivisionError: nought" in error_lines(result)[0]
    assert ("Traceback" in result.stderr) == bool(flags)
    assert sidecar(tmp_path / "out" / "a.json")["status"] == "failed"
    assert sidecar(tmp_path / "out" / "clip.json")["status"] == "complete"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_csv_on_a_full_device_is_one_clear_line(track: Track, clip: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clip.csv").symlink_to("/dev/full")
    result = track(clip, "--overwrite")
    assert result.exit_code == 1
    assert len(error_lines(result)) == 1 and "disk is full" in result.stderr


def test_people_are_where_they_were_drawn(
    track: Track, clip: Path, tmp_path: Path, walking_pair: Callable[[int], list[np.ndarray]]
):
    track(clip)
    last = [row for row in rows(tmp_path / "out" / "clip.csv") if row["frame"] == str(FRAMES - 1)]
    heads = sorted((float(row["head_x"]), float(row["head_y"])) for row in last)
    truth = sorted(tuple(person[0]) for person in walking_pair(FRAMES - 1))
    np.testing.assert_allclose(heads, truth, atol=6.0)
