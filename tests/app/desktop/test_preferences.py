import logging
from pathlib import Path

import pytest
from PySide6.QtCore import QByteArray

from app.desktop.overlay import OverlayOptions
from app.desktop.preferences import MAX_RECENT, Preferences
from app.take_values import TakeOptions
from engine.live_values import SourceRequest
from engine.settings import EstimatorSettings, TrackSettings
from engine.sources.source import CameraMode


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.ini"


@pytest.mark.parametrize(
    "value",
    [
        True,
        2.5,
        'a, "b" and [c]; =\\ £',
        ["one", "two, three"],
        OverlayOptions(boxes=True, trail_s=3.5, palette="vivid"),
        TakeOptions(Path("/a folder/ü"), "name", clean_video=True),
        SourceRequest("0", "Camera", CameraMode(1280, 720, 30.0)),
        TrackSettings(estimator=EstimatorSettings(max_people=3)),
    ],
)
def test_values_come_back_as_they_were(path: Path, value: object) -> None:
    first = Preferences(path)
    first.set("key", value)
    first.sync()
    kind = list[str] if isinstance(value, list) else type(value)
    assert Preferences(path).get("key", kind, None) == value  # type: ignore[arg-type]


def test_bytes_come_back_as_they_were(path: Path) -> None:
    first = Preferences(path)
    first.set_bytes("state", QByteArray(bytes(range(256))))
    first.sync()
    assert Preferences(path).bytes("state").data() == bytes(range(256))
    assert Preferences(path).bytes("none").isEmpty()


def test_a_new_file_has_the_defaults(path: Path) -> None:
    fresh = Preferences(path)
    assert fresh.theme == "system"
    assert fresh.settings == TrackSettings()
    assert fresh.recent == []
    assert fresh.record_folder.name == "SteadyPose"
    assert fresh.folder == path.parent


@pytest.mark.parametrize(
    "damage",
    [
        b"[General\ntheme=dark\n",
        bytes(range(256)) * 8,
        b'[General]\ntracking={"estimator": {"mode": "sideways"}}\ntheme="\\"blue\\""\n',
        b"[General]\ntracking={broken, json\nrecent=@Invalid()\n",
        b"[General]\nstate=@ByteArray(xx)\ngeometry=7\ntracking=\n",
    ],
)
def test_a_damaged_file_gives_defaults_and_can_be_written_again(
    path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(damage)
    with caplog.at_level(logging.WARNING, "app.desktop.preferences"):
        damaged = Preferences(path)
        assert damaged.settings == TrackSettings()
        assert damaged.recent == []
        assert damaged.theme == "system"
    assert not caplog.records or str(path) in caplog.text
    damaged.theme = "dark"
    damaged.settings = TrackSettings(estimator=EstimatorSettings(max_people=3))
    damaged.sync()
    again = Preferences(path)
    assert again.theme == "dark"
    assert again.settings.estimator.max_people == 3


@pytest.mark.parametrize("value", ["{broken, json", "{", '{\\"estimator\\": 3}'])
def test_a_value_that_cannot_be_read_is_logged(
    path: Path, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(f"[General]\ntracking={value}\n")
    with caplog.at_level(logging.WARNING, "app.desktop.preferences"):
        assert Preferences(path).settings == TrackSettings()
    assert "setting tracking" in caplog.text


def test_a_region_is_not_remembered(path: Path) -> None:
    preferences = Preferences(path)
    preferences.settings = TrackSettings(estimator=EstimatorSettings(region=(0.0, 0.0, 9.0, 9.0)))
    assert preferences.settings.estimator.region is None


def test_recent_sources_are_the_last_ones_each_once(path: Path) -> None:
    preferences = Preferences(path)
    for number in range(MAX_RECENT + 2):
        preferences.add_recent(SourceRequest(f"/clips/{number}.mp4", str(number)))
    preferences.add_recent(SourceRequest(Path("/clips/5.mp4"), "five"))
    labels = [request.label for request in preferences.recent]
    assert labels[0] == "five"
    assert "5" not in labels
    assert len(labels) == MAX_RECENT
    preferences.remove_recent(SourceRequest("/clips/5.mp4", ""))
    assert len(preferences.recent) == MAX_RECENT - 1
