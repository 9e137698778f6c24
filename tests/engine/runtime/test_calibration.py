from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import engine.runtime.calibration as calibration_module
from assets import models_dir
from engine.errors import SourceError, UsageError
from engine.model import open_model
from engine.model_file import read_spec
from engine.runtime.calibration import CROPS, PICTURES, Calibration, list_pictures
from tests.engine.runtime.demo_inputs import demo_inputs

TOP_DOWN = models_dir() / "steadypose-td-w16.onnx"


def test_the_bundled_clip_gives_crops_of_its_people() -> None:
    spec = read_spec(TOP_DOWN)
    inputs = demo_inputs("steadypose-td-w16")
    assert len(inputs) == CROPS
    assert {item.shape for item in inputs} == {(1, 3, *spec.input_size)}
    assert {item.dtype for item in inputs} == {np.dtype(np.float32)}
    # Somebody is really in them: the network sees a nose in nearly each.
    model = open_model(TOP_DOWN)
    scores = model.run(np.concatenate(inputs[::8]))["heatmaps"].max(axis=(1, 2, 3))
    model.close()
    assert (scores > 0.4).mean() > 0.9


@pytest.mark.slow
def test_the_bundled_clip_gives_whole_frames_at_the_short_side_of_the_model() -> None:
    inputs = demo_inputs("steadypose-bu-w16")
    assert len(inputs) == PICTURES
    assert {item.shape for item in inputs} == {(1, 3, 256, 480)}
    assert all(np.abs(one - other).max() > 0.5 for one, other in pairwise(inputs))


@pytest.fixture
def marker_pictures(
    tmp_path: Path, marker_folder: Path, bottom_up_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder whose people the finder knows, those of the marker world."""
    monkeypatch.setattr(calibration_module, "FINDER", str(bottom_up_file))
    return marker_folder


def test_a_folder_gives_crops_of_whom_the_finder_sees(marker_pictures: Path, top_down_file: Path) -> None:
    inputs = Calibration(marker_pictures).inputs(read_spec(top_down_file))
    count = len(list_pictures(marker_pictures))
    assert min(count, CROPS) <= len(inputs) <= CROPS  # a pair walks there
    assert inputs[0].shape == (1, 3, 128, 96)


def test_a_folder_gives_whole_pictures(marker_pictures: Path, bottom_up_file: Path) -> None:
    inputs = Calibration(marker_pictures).inputs(read_spec(bottom_up_file))
    assert len(inputs) == min(PICTURES, len(list_pictures(marker_pictures)))
    assert all(side % 32 == 0 for side in inputs[0].shape[2:])


def write_picture(path: Path, value: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((64, 64, 3), value, np.uint8))


def test_pictures_are_searched_deeply_and_other_files_are_passed_over(tmp_path: Path) -> None:
    write_picture(tmp_path / "b" / "2.png")
    write_picture(tmp_path / "10.PNG")
    (tmp_path / "notes.txt").write_text("none")
    assert {file.name for file in list_pictures(tmp_path)} == {"2.png", "10.PNG"}


def test_a_damaged_picture_is_skipped_with_a_warning(
    tmp_path: Path, bottom_up_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_picture(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"broken")
    assert len(Calibration(tmp_path).inputs(read_spec(bottom_up_file))) == 1
    assert "2.png" in caplog.text and "skipped" in caplog.text


def test_folders_that_do_not_help_are_refused(tmp_path: Path, bottom_up_file: Path) -> None:
    spec = read_spec(bottom_up_file)
    with pytest.raises(SourceError, match="does not exist"):
        Calibration(tmp_path / "none").digest()
    with pytest.raises(SourceError, match="holds no picture"):
        Calibration(tmp_path).inputs(spec)
    (tmp_path / "1.png").write_bytes(b"broken")
    with pytest.raises(SourceError, match="none of the 1 pictures"):
        Calibration(tmp_path).inputs(spec)


def test_a_top_down_model_is_not_calibrated_on_empty_pictures(
    tmp_path: Path, top_down_file: Path, bottom_up_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration_module, "FINDER", str(bottom_up_file))
    write_picture(tmp_path / "1.png", value=24)
    with pytest.raises(UsageError, match="nobody was found"):
        Calibration(tmp_path).inputs(read_spec(top_down_file))


def test_the_digest_changes_with_the_pictures_and_only_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_picture(tmp_path / "1.png")
    first = Calibration(tmp_path).digest()
    assert Calibration(tmp_path).digest() == first != Calibration().digest()
    (tmp_path / "notes.txt").write_text("other")
    assert Calibration(tmp_path).digest() == first
    write_picture(tmp_path / "1.png", value=101)
    second = Calibration(tmp_path).digest()
    write_picture(tmp_path / "2.png")
    assert len({first, second, Calibration(tmp_path).digest()}) == 3


def test_the_clip_without_its_truth_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "truth.csv"
    damaged.write_text("frame,other\n0,1\n")
    monkeypatch.setattr(calibration_module, "demo_truth", lambda: damaged)
    with pytest.raises(SourceError, match="install the package again"):
        Calibration().inputs(read_spec(TOP_DOWN))
