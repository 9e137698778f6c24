import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.errors import SinkError
from engine.sinks.csv_file import describe_columns
from engine.sinks.sidecar import Change, ClockPoint, Marker, Sidecar, SourceRecord, write_sidecar
from engine.skeleton import COCO17
from engine.sources import SourceInfo


@pytest.fixture
def sidecar(make_info: Callable[..., SourceInfo]) -> Sidecar:
    return Sidecar(
        status="complete",
        software_version="0.1.0",
        source=SourceRecord.of(make_info()),
        frames_read=29,
        frames_dropped=1,
        tracks=3,
        most_people=2,
        models=({"name": "m", "sha256": "0" * 64, "licence": "Apache-2.0", "precision": "int8"},),
        settings={"estimator": {"mode": "auto"}},
        warnings=("picture 4 is damaged and skipped",),
        skeleton=COCO17,
        columns=describe_columns(),
    )


def test_a_sidecar_says_where_the_numbers_come_from(tmp_path: Path, sidecar: Sidecar):
    write_sidecar(tmp_path / "clip.json", sidecar)
    written = json.loads((tmp_path / "clip.json").read_text(encoding="utf-8"))
    assert written["status"] == "complete"
    assert written["source"] == {
        "name": "clip.mp4", "path": None, "width": 128, "height": 96, "fps": 25.0, "duration_s": 1.2,
        "start_s": 0.0, "decoder": None, "stills": False,
    }  # fmt: skip
    assert (written["frames_read"], written["frames_dropped"]) == (29, 1)
    assert written["models"][0]["sha256"] == "0" * 64
    assert "centre of the top-left pixel" in written["coordinates"]
    assert written["units"]["time_s"] == "s"
    assert written["skeleton"]["keypoints"][0] == "nose"
    assert "KEYPOINT_state" in written["columns"]
    assert datetime.fromisoformat(written["created"]).tzinfo is not None


def test_a_sidecar_can_be_read_back(tmp_path: Path, sidecar: Sidecar):
    write_sidecar(tmp_path / "clip.json", sidecar)
    assert Sidecar.model_validate_json((tmp_path / "clip.json").read_text(encoding="utf-8")) == sidecar


def test_the_sidecar_of_a_take_can_be_read_back(tmp_path: Path, sidecar: Sidecar):
    now = datetime(2026, 3, 4, 5, 6, 7, 890_000, UTC)
    take = sidecar.model_copy(
        update={
            "status": "recording",
            "names": {3: "Ada"},
            "markers": (Marker(time_s=1.5, frame=37, wall_time=now, label="jump"),),
            "video_clock": (ClockPoint(video_s=0.0, time_s=3600.0),),
            "changes": (Change(time_s=2.0, settings={"tracker.keep_alive_s": 1.0}),),
            "lost": {"rows": 2},
        }
    )
    write_sidecar(tmp_path / "take.json", take)
    assert Sidecar.model_validate_json((tmp_path / "take.json").read_text(encoding="utf-8")) == take


def test_a_sidecar_replaces_the_one_before_and_leaves_nothing_beside(tmp_path: Path, sidecar: Sidecar):
    path = tmp_path / "clip.json"
    write_sidecar(path, sidecar.model_copy(update={"status": "interrupted"}))
    write_sidecar(path, sidecar)
    assert json.loads(path.read_text(encoding="utf-8"))["status"] == "complete"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_while_writing_leaves_the_old_sidecar_whole(
    tmp_path: Path, sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "clip.json"
    write_sidecar(path, sidecar)
    before = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.sinks.atomic.os.fsync", fail)
    with pytest.raises(SinkError, match="the disk is full"):
        write_sidecar(path, sidecar.model_copy(update={"status": "failed", "message": "a longer text"}))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_no_sidecar(tmp_path: Path, sidecar: Sidecar):
    (tmp_path / "clip.json").mkdir()
    with pytest.raises(SinkError, match="there is a folder of that name"):
        write_sidecar(tmp_path / "clip.json", sidecar)
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.json"]


def test_a_missing_folder_is_named(tmp_path: Path, sidecar: Sidecar):
    with pytest.raises(SinkError, match="its folder does not exist"):
        write_sidecar(tmp_path / "missing" / "clip.json", sidecar)


@pytest.mark.parametrize(
    "change",
    [{"status": "done"}, {"frames_read": -1}, {"created": datetime(2026, 1, 1)}, {"colour": "red"}],
)
def test_a_sidecar_that_makes_no_sense_is_refused(sidecar: Sidecar, change: dict[str, object]):
    with pytest.raises(ValidationError):
        Sidecar.model_validate(sidecar.model_dump() | change)
