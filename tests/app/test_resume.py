import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import Result

from app import resume
from app.inputs import TrackInput
from app.outputs import OutputPaths, output_paths
from app.resume import Request, fingerprint_input, look_for_results, make_request
from engine.errors import UsageError
from engine.settings import EstimatorSettings, TrackSettings

Track = Callable[..., Result]
WriteClip = Callable[..., Path]


def edit(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**content, **changes}), "utf-8")


@pytest.fixture
def settings(top_down_file: Path, bottom_up_file: Path) -> TrackSettings:
    names = {"top_down_model": str(top_down_file), "bottom_up_model": str(bottom_up_file)}
    return TrackSettings(estimator=EstimatorSettings(threads=1, **names))


@pytest.fixture
def done(track: Track, write_clip: WriteClip, tmp_path: Path) -> Path:
    """The folder of the results of one finished clip, walk.mp4."""
    assert track(write_clip(tmp_path / "walk.mp4", 6), "-q").exit_code == 0
    return tmp_path / "out"


def test_a_fingerprint_follows_the_content_and_not_the_name(tmp_path: Path):
    first, second = tmp_path / "a.mp4", tmp_path / "b.mp4"
    first.write_bytes(b"pictures")
    second.write_bytes(b"pictures")
    assert fingerprint_input(first) == fingerprint_input(second)
    second.write_bytes(b"Pictures")
    assert fingerprint_input(first) != fingerprint_input(second)


@pytest.mark.parametrize("place", [0, 5_000, 9_999])
def test_head_middle_tail_and_size_of_a_large_file_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
):
    monkeypatch.setattr(resume, "WHOLE_BYTES", 1_000)
    monkeypatch.setattr(resume, "PIECE_BYTES", 100)
    path = tmp_path / "large.mp4"
    path.write_bytes(bytes(10_000))
    before = fingerprint_input(path)
    changed = bytearray(10_000)
    changed[place] = 1
    path.write_bytes(changed)
    after = fingerprint_input(path)
    path.write_bytes(bytes(10_001))
    assert before.startswith("sampled:") and len({before, after, fingerprint_input(path)}) == 3


def test_a_folder_of_images_is_known_by_its_images_and_their_names(tmp_path: Path):
    for name in ("1.png", "2.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint8))
    before = fingerprint_input(tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    assert fingerprint_input(tmp_path) == before
    (tmp_path / "2.png").rename(tmp_path / "3.png")
    assert fingerprint_input(tmp_path) != before


def test_a_request_changes_with_settings_models_and_options(
    settings: TrackSettings, top_down_file: Path, tmp_path: Path
):
    first = make_request(settings, {"raw": False})
    assert make_request(settings, {"raw": False}).digest == first.digest
    copy = tmp_path / "other.onnx"
    copy.write_bytes(top_down_file.read_bytes() + b" ")
    other_model = settings.estimator.model_copy(update={"top_down_model": str(copy)})
    other_mode = settings.estimator.model_copy(update={"mode": "bottom-up"})
    others = [
        make_request(settings, {"raw": True}),
        make_request(settings.model_copy(update={"estimator": other_model}), {"raw": False}),
        make_request(settings.model_copy(update={"estimator": other_mode}), {"raw": False}),
    ]
    assert len({first.digest, *(request.digest for request in others)}) == 4


def test_a_model_that_was_replaced_under_its_name_makes_another_request(
    settings: TrackSettings, top_down_file: Path, tmp_path: Path
):
    copy = tmp_path / "model.onnx"
    copy.write_bytes(top_down_file.read_bytes())
    changed = settings.estimator.model_copy(update={"top_down_model": str(copy)})
    own = settings.model_copy(update={"estimator": changed})
    before = make_request(own, {})
    copy.write_bytes(top_down_file.read_bytes() + b" ")
    assert make_request(own, {}).digest != before.digest


class TestWhatIsThere:
    @pytest.fixture
    def paths(self, tmp_path: Path) -> OutputPaths:
        item = TrackInput(tmp_path / "walk.mp4", "walk.mp4", "walk")
        return output_paths(item, tmp_path / "out", video=False)

    @pytest.fixture
    def request_made(self, done: Path, settings: TrackSettings) -> Request:
        made = make_request(settings, {})
        run = json.loads((done / "walk.json").read_text())["run"]
        edit(done / "walk.json", run={**run, "request": made.digest})
        return made

    def test_complete_results_of_the_same_request_are_done(
        self, paths: OutputPaths, request_made: Request, tmp_path: Path
    ):
        found = look_for_results(paths, tmp_path / "walk.mp4", request_made)
        assert found.state == "done" and found.sidecar is not None and found.sidecar.frames_read == 6
        assert found.choice is not None and found.choice["threads"] == 1

    @pytest.mark.parametrize("status", ["recording", "interrupted", "failed"])
    def test_what_was_not_finished_is_begun(
        self, paths: OutputPaths, request_made: Request, tmp_path: Path, status: str
    ):
        edit(paths.sidecar, status=status)
        assert look_for_results(paths, tmp_path / "walk.mp4", request_made).state == "begun"

    def test_rows_that_were_lost_afterwards_are_not_taken_for_whole(
        self, paths: OutputPaths, request_made: Request, tmp_path: Path
    ):
        paths.csv.write_bytes(paths.csv.read_bytes()[:-40])
        found = look_for_results(paths, tmp_path / "walk.mp4", request_made)
        assert (found.state, found.why) == ("begun", "was changed or taken away afterwards")

    def test_another_file_under_the_same_name_is_another_input(
        self, paths: OutputPaths, request_made: Request, write_clip: WriteClip, tmp_path: Path
    ):
        found = look_for_results(paths, write_clip(tmp_path / "walk.mp4", 5), request_made)
        assert (found.state, found.why, found.changed) == ("other", "made from another walk.mp4", "content")

    def test_results_of_another_version_are_named_by_it(
        self, paths: OutputPaths, settings: TrackSettings, request_made: Request, tmp_path: Path
    ):
        other = make_request(settings, {"raw": True})
        edit(paths.sidecar, software_version="0.0.1", new_field="of that version")
        found = look_for_results(paths, tmp_path / "walk.mp4", other)
        assert (found.state, found.changed) == ("other", "version")
        assert "made by SteadyPose 0.0.1" in found.why

    def test_other_settings_are_named(
        self, paths: OutputPaths, settings: TrackSettings, request_made: Request, tmp_path: Path
    ):
        changed = settings.estimator.model_copy(update={"mode": "bottom-up"})
        other = make_request(settings.model_copy(update={"estimator": changed}), {})
        found = look_for_results(paths, tmp_path / "walk.mp4", other)
        assert "other settings (estimator.mode auto, not bottom-up" in found.why
        assert found.changed == "settings"

    @pytest.fixture
    def asked(self, paths: OutputPaths, request_made: Request) -> TrackSettings:
        """The settings of the run that was done."""
        return TrackSettings.model_validate(json.loads(paths.sidecar.read_text("utf-8"))["settings"])

    def test_a_model_of_another_name_is_no_mere_setting(
        self, paths: OutputPaths, asked: TrackSettings, top_down_file: Path, tmp_path: Path
    ):
        copy = tmp_path / "copy.onnx"
        copy.write_bytes(top_down_file.read_bytes())
        changed = asked.estimator.model_copy(update={"top_down_model": str(copy)})
        other = make_request(asked.model_copy(update={"estimator": changed}), {})
        found = look_for_results(paths, tmp_path / "walk.mp4", other)
        assert found.changed == "models" and f"not {copy}" in found.why

    def test_a_model_that_was_replaced_under_its_name_is_named(
        self, paths: OutputPaths, asked: TrackSettings, tmp_path: Path
    ):
        now = make_request(asked, {})
        hashes = {name: "f" * 64 if "markers-td" in name else sha for name, sha in now.models.items()}
        found = look_for_results(paths, tmp_path / "walk.mp4", replace(now, digest="another", models=hashes))
        assert (found.changed, found.why) == (
            "models",
            "made with other models (markers-td.onnx had other content)",
        )

    def test_all_else_is_other_options(self, paths: OutputPaths, asked: TrackSettings, tmp_path: Path):
        found = look_for_results(paths, tmp_path / "walk.mp4", make_request(asked, {"raw": True}))
        assert found.changed == "options" and "such as --format or --raw" in found.why

    @pytest.mark.parametrize(
        "damage", [{"run": []}, {"choice": None}, {"settings": 3, "run": 1, "models": None}]
    )
    def test_a_sidecar_that_was_edited_to_nonsense_ends_nothing(
        self, paths: OutputPaths, request_made: Request, tmp_path: Path, damage: dict[str, object]
    ):
        edit(paths.sidecar, **damage)
        assert look_for_results(paths, tmp_path / "walk.mp4", request_made).state in ("other", "begun")

    def test_a_sidecar_that_is_none_makes_the_files_foreign(
        self, paths: OutputPaths, request_made: Request, tmp_path: Path
    ):
        paths.sidecar.write_text("[1, 2]")
        assert look_for_results(paths, tmp_path / "walk.mp4", request_made).state == "foreign"


def test_a_second_run_says_what_can_be_done_and_touches_nothing(track: Track, done: Path, tmp_path: Path):
    before = (done / "walk.csv").read_bytes()
    result = track(tmp_path / "walk.mp4")
    assert result.exit_code == 1
    assert "complete; --resume skips what is done, --overwrite replaces it" in result.stderr
    assert (done / "walk.csv").read_bytes() == before


def test_resume_skips_what_is_done_without_opening_a_model(
    track: Track, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a model was opened")

    monkeypatch.setattr("app.batch_task.Pipeline", never)
    monkeypatch.setattr("app.batch_choice.Pipeline", never)
    result = track(tmp_path / "walk.mp4", "--resume")
    assert result.exit_code == 0 and "walk.mp4: done before" in result.stdout


def test_resume_does_again_what_was_begun_and_clears_its_leavings(track: Track, done: Path, tmp_path: Path):
    whole = (done / "walk.csv").read_bytes()
    (done / "walk.csv").write_bytes(whole[: len(whole) // 2])
    edit(done / "walk.json", status="recording")
    (done / ".walk.json.123.part").write_text("{")
    assert track(tmp_path / "walk.mp4", "--resume").exit_code == 0
    assert (done / "walk.csv").read_bytes() == whole
    assert sorted(path.name for path in done.iterdir()) == ["walk.csv", "walk.json"]


def test_results_of_other_settings_are_refused_and_redone_on_resume(track: Track, done: Path, tmp_path: Path):
    refused = track(tmp_path / "walk.mp4", "--smoothing", "none")
    assert refused.exit_code == 1 and "tracker.smoothing.method kalman, not none" in refused.stderr
    assert track(tmp_path / "walk.mp4", "--smoothing", "none", "--resume").exit_code == 0
    told = json.loads((done / "walk.json").read_text())
    assert told["settings"]["tracker"]["smoothing"]["method"] == "none"


def change_content(folder: Path, write_clip: WriteClip) -> tuple[object, ...]:
    write_clip(folder / "a.mp4", 4)
    return ()


def change_settings(folder: Path, write_clip: WriteClip) -> tuple[object, ...]:
    return ("--smoothing", "none")


def change_options(folder: Path, write_clip: WriteClip) -> tuple[object, ...]:
    return ("--raw",)


def change_model(folder: Path, write_clip: WriteClip) -> tuple[object, ...]:
    model = folder / "own.onnx"
    model.write_bytes(model.read_bytes() + OTHER_SPEC)
    return ()


OTHER_SPEC = b"\x72\x06\x0a\x01a\x12\x01b"
"""An entry of metadata at the end of an ONNX file: the same network in another file."""


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (change_content, "1 of 2 inputs anew and replaces their files: 1 made from another a.mp4"),
        (
            change_settings,
            "2 of 2 inputs anew and replaces their files: "
            "2 made with other settings (tracker.smoothing.method kalman, not none)",
        ),
        (
            change_model,
            "2 of 2 inputs anew and replaces their files: "
            "2 made with other models (own.onnx had other content)",
        ),
        (
            change_options,
            "2 of 2 inputs anew and replaces their files: "
            "2 made with other options, such as --format or --raw",
        ),
    ],
)
def test_a_resumed_run_says_before_its_first_frame_how_many_inputs_it_does_anew_and_why(
    invoke: Track,
    write_clip: WriteClip,
    bottom_up_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, WriteClip], tuple[object, ...]],
    line: str,
):
    own = tmp_path / "own.onnx"
    own.write_bytes(bottom_up_file.read_bytes())
    inputs = [write_clip(tmp_path / f"{name}.mp4", 3) for name in ("a", "b")]
    how = ("track", *inputs, "--out", tmp_path / "out", "--mode", "bottom-up", "--bottom-up-model", own)
    assert invoke(*how, "-q").exit_code == 0
    more = change(tmp_path, write_clip)

    def none(*_: object, **__: object) -> None:
        raise UsageError("the first frame")

    monkeypatch.setattr("app.batch_task.Pipeline", none)
    result = invoke(*how, "--resume", *more)
    assert result.stderr.splitlines() == [f"warning: --resume does {line}", "error: the first frame"]


def test_resume_does_not_touch_files_that_are_no_results(track: Track, clip: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clip.csv").write_text("precious")
    result = track(clip, "--resume")
    assert result.exit_code == 1 and "without a sidecar" in result.stderr
    assert (tmp_path / "out" / "clip.csv").read_text() == "precious"


def test_resume_and_overwrite_exclude_each_other(track: Track, clip: Path):
    result = track(clip, "--resume", "--overwrite")
    assert result.exit_code == 2 and "exclude each other" in result.stderr
