import csv
import errno
import json
from pathlib import Path
from typing import Any

import av
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog

from app.desktop.preferences import Preferences
from app.take_files import TakeFiles
from engine.errors import SinkError

KEYS = Qt.Key


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    return tmp_path / "takes"


@pytest.fixture
def playing(desk: Any, long_clip: Path) -> Any:
    """The window with a long clip that plays."""
    desk.open(long_clip)
    return desk


def record(desk: Any, frames: int = 5) -> None:
    """Begin a take and wait until frames are in it."""
    desk.press(KEYS.Key_R)
    desk.until(lambda: (status := desk.window.recording.takes.status) and status.frames >= frames)
    assert desk.window.recording.takes.recording


def until_saved(desk: Any, state: str = "done") -> Any:
    """Wait until the newest take is closed; return its status."""
    desk.until(lambda: desk.window.recording.takes.status.state == state)
    return desk.window.recording.takes.status


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def check_whole(stem: Path) -> dict[str, Any]:
    """Check that CSV, sidecar and video of a take tell the same; return the sidecar."""
    sidecar: dict[str, Any] = json.loads(Path(f"{stem}.json").read_text(encoding="utf-8"))
    assert sidecar["status"] == "complete"
    rows = rows_of(Path(f"{stem}.csv"))
    assert all(None not in row.values() for row in rows)
    written = frames_of(Path(f"{stem}.tracked.mp4"))
    lost = sidecar.get("lost", {}).get("video frames", 0)
    assert written + lost >= len({row["frame"] for row in rows}) > 0
    return sidecar


def test_a_take_has_a_table_a_sidecar_and_a_video_and_the_next_one_its_own_number(
    playing: Any, takes: Path
) -> None:
    record(playing)
    assert playing.window.recording._bar.record_button.isEnabled()
    playing.press(KEYS.Key_R)
    until_saved(playing)
    record(playing)
    playing.press(KEYS.Key_R)
    until_saved(playing)
    for number in (1, 2):
        sidecar = check_whole(takes / f"long-take-{number:03d}")
        assert sidecar["source"]["name"] == "long.mp4"
    assert not (takes / "long-take-003.csv").exists()


def test_markers_and_names_are_in_the_take(playing: Any, takes: Path) -> None:
    record(playing)
    person = playing.people[0]
    playing.window.people.renamed.emit(person, "Ada")
    playing.press(KEYS.Key_M)
    playing.press(KEYS.Key_R)
    status = until_saved(playing)
    assert status.markers == 1
    sidecar = check_whole(takes / "long-take-001")
    assert sidecar["names"] == {str(person): "Ada"}
    assert len(sidecar["markers"]) == 1
    assert len(rows_of(takes / "long-take-001.markers.csv")) == 1
    playing.press(KEYS.Key_M)
    assert playing.window.recording.takes.status.markers == 1, "between takes nothing is marked"


def test_seeking_closes_the_take_says_so_and_leaves_it_the_names(playing: Any, takes: Path) -> None:
    record(playing)
    person = playing.people[0]
    playing.window.people.renamed.emit(person, "Ada")
    playing.press(KEYS.Key_Home)
    playing.until(lambda: playing.told_of("The playing position was changed; the take is saved"))
    until_saved(playing)
    assert check_whole(takes / "long-take-001")["names"] == {str(person): "Ada"}
    playing.until(lambda: playing.session.status.state == "playing")
    assert not playing.window.recording.takes.recording


def test_the_end_of_the_file_ends_the_take_and_a_next_one_waits_for_playing(desk: Any, clip: Path) -> None:
    desk.open(clip)
    desk.press(KEYS.Key_R)
    desk.until(lambda: desk.told_of("The file came to its end"))
    until_saved(desk)
    desk.until_state("ended")
    assert not desk.actions["record"].isEnabled()
    desk.press(KEYS.Key_Space)
    desk.until(desk.actions["record"].isEnabled)


def test_a_stream_that_goes_closes_the_take_and_the_next_begins_when_it_is_back(
    desk: Any, mjpeg_server: Any, takes: Path
) -> None:
    desk.open(mjpeg_server.address)
    record(desk)
    mjpeg_server.stop()
    desk.until(lambda: desk.told_of("recording goes on in a new take when it is back"))
    until_saved(desk)
    (first,) = takes.glob("*-take-001.csv")
    mjpeg_server.start()
    desk.until(lambda: desk.window.recording.takes.recording)
    desk.until(lambda: desk.window.recording.takes.status.frames >= 3)
    desk.press(KEYS.Key_R)
    until_saved(desk)
    for number in (1, 2):
        stem = first.with_name(first.name.replace("-001.csv", f"-{number:03d}"))
        check_whole(stem)
        assert rows_of(Path(f"{stem}.csv"))[0]["wall_time"]


def test_a_full_disk_is_told_and_the_window_goes_on(
    playing: Any, takes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def write_rows(files: TakeFiles, result: Any) -> None:
        written.append(result)
        if len(written) > 3:
            full = OSError(errno.ENOSPC, "No space left on device")
            raise SinkError(f"{files.paths.csv} cannot be written: the disk is full") from full

    monkeypatch.setattr(TakeFiles, "write_rows", write_rows)
    playing.press(KEYS.Key_R)
    playing.until(lambda: playing.told_of("the disk is full"))
    assert until_saved(playing, "failed").paths.csv.exists()
    assert json.loads((takes / "long-take-001.json").read_text())["status"] == "failed"
    at = playing.index
    playing.until(lambda: playing.index > at)
    monkeypatch.undo()
    record(playing)
    playing.press(KEYS.Key_R)
    until_saved(playing)
    check_whole(takes / "long-take-002")


def test_a_folder_that_cannot_be_made_is_told(playing: Any, takes: Path) -> None:
    takes.write_text("a file where the folder should be")
    playing.press(KEYS.Key_R)
    playing.until(lambda: playing.told_of("choose another folder"))
    assert not playing.window.recording.takes.recording
    assert playing.session.live.status.state == "playing"


def test_models_with_other_keypoints_are_not_offered_while_a_take_is_written(playing: Any) -> None:
    assert playing.window.settings._fixed is None
    record(playing)
    playing.until(lambda: playing.window.settings._fixed is not None)
    assert playing.window.settings._fixed.name == "markers6"
    playing.until(lambda: "6 of markers6" in reasons(playing))
    playing.press(KEYS.Key_R)
    playing.until(lambda: "6 of markers6" not in reasons(playing))


def reasons(desk: Any) -> str:
    """Return why models cannot be chosen."""
    model = desk.window.controls._combo("top_down_model").combo.model()
    return " ".join(model.item(row).toolTip() for row in range(model.rowCount()))


def test_closing_the_source_closes_the_take(playing: Any, takes: Path) -> None:
    record(playing)
    playing.actions["close_source"].trigger()
    until_saved(playing)
    check_whole(takes / "long-take-001")
    assert not playing.actions["record"].isEnabled()


def test_what_is_written_and_where_is_remembered(
    make_desk: Any, preferences: Preferences, tmp_path: Path, long_clip: Path
) -> None:
    desk = make_desk()
    bar = desk.window.recording._bar
    desk.actions["record_folder"].trigger()
    chooser = desk.window.findChild(QFileDialog)
    chooser.fileSelected.emit(str(tmp_path / "elsewhere"))
    chooser.close()
    (action,) = [a for a in bar.menu.actions() if a.text().replace("&", "").startswith("Clean video")]
    action.trigger()
    desk.window.close()
    again = make_desk(Preferences(preferences.folder / "settings.ini"))
    assert again.window.recording._bar.options.clean_video
    again.open(long_clip)
    record(again)
    again.press(KEYS.Key_R)
    until_saved(again)
    assert frames_of(tmp_path / "elsewhere" / "long-take-001.clean.mp4") > 0


def test_what_no_program_opens_is_told(playing: Any, takes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    playing.actions["open_record_folder"].trigger()
    assert playing.told_of("is made with the first take")
    takes.mkdir()
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: bool(opened.append(url.toLocalFile())))
    playing.actions["open_record_folder"].trigger()
    assert opened == [str(takes)]
    assert playing.told_of("No program here opens")


def test_a_model_with_other_keypoints_ends_the_take_and_the_picture_goes_on(
    playing: Any, takes: Path, write_marker_model: Any, tmp_path: Path
) -> None:
    names = ("a", "b", "c", "d", "e", "f")
    skeleton = playing.session.live.skeleton.model_copy(update={"name": "others6", "keypoints": names})
    other = write_marker_model(tmp_path / "others.onnx", "bottom-up", skeleton=skeleton)
    record(playing)
    settings = playing.window.settings.settings
    estimator = settings.estimator.model_copy(update={"mode": "bottom-up", "bottom_up_model": str(other)})
    playing.window.controls.apply_settings(settings.model_copy(update={"estimator": estimator}), "Change")
    playing.until(lambda: playing.told_of("other keypoints"))
    until_saved(playing)
    check_whole(takes / "long-take-001")
    playing.actions["loop"].trigger()
    playing.until(lambda: playing.session.live.skeleton.name == "others6" and playing.people)
