from collections.abc import Callable
from pathlib import Path

import pytest

import engine.zoo
from app.model_rows import PARAMETERS, headline, list_rows
from engine.zoo_catalogue import CATALOGUE
from engine.zoo_store import downloaded_dir

NAME = "hrnet-w32-coco-256x192"


@pytest.fixture(autouse=True)
def _own_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_marker_model: Callable[..., Path]
) -> None:
    """A data folder with one good and one damaged model, and one bundled model."""
    monkeypatch.setenv("STEADYPOSE_DATA_DIR", str(tmp_path / "data"))
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    write_marker_model(bundled / "steadypose-td-w16.onnx", "top-down", accuracy={"mean_oks": 0.6})
    monkeypatch.setattr(engine.zoo, "models_dir", lambda: bundled)
    downloaded_dir().mkdir(parents=True)
    write_marker_model(downloaded_dir() / f"{NAME}.onnx", "top-down", accuracy={"ap": 0.746})
    (downloaded_dir() / "hrnet-w48-coco-256x192.onnx").write_bytes(b"cut")


def test_rows_tell_what_is_at_hand_then_what_can_be_had():
    rows = list_rows()
    states = {row.name: row.state for row in rows}
    assert states["steadypose-td-w16"] == "bundled" and states[NAME] == "downloaded"
    assert states["hrnet-w48-coco-256x192"] == "damaged"
    assert states["higherhrnet-w32-coco-512x512"] == "available"
    assert states["hourglass-8-mpii-256x256-princeton"] == "by hand"
    assert [row.at_hand for row in rows[:2]] == [True, True] and not any(row.at_hand for row in rows[3:])
    assert len(states) == len(rows) == len(CATALOGUE) + 1


def test_a_row_has_size_accuracy_and_licence():
    rows = {row.name: row for row in list_rows()}
    here, there = rows[NAME], rows["hrnet-w32-coco-384x288"]
    assert here.size_bytes == (downloaded_dir() / f"{NAME}.onnx").stat().st_size
    assert here.accuracy == "AP 74.6" and here.judged_on.startswith("COCO val2017")
    assert there.size_bytes == pytest.approx(114e6, rel=0.01) and there.licence == "Apache-2.0"
    assert rows["hrnet-w48-coco-256x192"].problem != ""
    assert rows["hourglass-8-mpii-256x256-princeton"].size_bytes is None


def test_every_model_that_can_be_fetched_has_a_size():
    assert {entry.architecture for entry in CATALOGUE.values() if entry.path} <= set(PARAMETERS)


@pytest.mark.parametrize(
    ("accuracy", "text"),
    [
        ({"ap": 0.746, "ap50": 0.9}, "AP 74.6"),
        ({"pckh": 0.901}, "PCKh 90.1"),
        ({"map": 0.83}, "mAP 83.0"),
        ({"other": 1.0}, ""),
    ],
)
def test_the_headline_is_the_figure_that_authors_lead_with(accuracy: dict[str, float], text: str):
    assert headline(accuracy) == text
