import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
from pycocotools.coco import COCO
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage
from PySide6.QtWidgets import QFileDialog, QToolButton
from pytestqt.qtbot import QtBot

from app.batch_item import BatchItem, BatchTotals, Job, QueueOptions
from app.batch_queue import BatchQueue
from app.desktop.batch_bars import Footer
from app.desktop.batch_tab import BatchTab
from app.desktop.batch_table import PROGRESS, RESULT, SPEED, BatchModel, result_text, state_icon
from app.desktop.icons import icon_names
from app.desktop.theme import make_palette
from app.recording import WriteOptions
from engine.settings import EstimatorSettings, TrackSettings
from engine.sinks.results_file import ResultsFile

FOLDER = Path("/videos")


@pytest.fixture(scope="module", autouse=True)
def _openvino_is_loaded() -> None:
    """Import OpenVINO before any test, as it begins a thread then that lasts as long as the process."""
    importlib.import_module("openvino")


@pytest.fixture
def settings(top_down_file: Path, bottom_up_file: Path) -> TrackSettings:
    return TrackSettings(
        estimator=EstimatorSettings(
            top_down_model=str(top_down_file), bottom_up_model=str(bottom_up_file), threads=1
        )
    )


@pytest.fixture
def tab(qtbot: QtBot, settings: TrackSettings, tmp_path: Path) -> Iterator[BatchTab]:
    tab = BatchTab(BatchQueue(QueueOptions(settings=settings, out=tmp_path / "out")))
    qtbot.addWidget(tab)
    tab.resize(900, 480)
    tab.show()
    yield tab
    tab.close_queue()


def states(tab: BatchTab) -> list[str]:
    return [item.state for item in tab._model.items]


def wait_for(qtbot: QtBot, tab: BatchTab, *expected: str) -> None:
    qtbot.waitUntil(lambda: states(tab) == list(expected), timeout=20_000)


def text(tab: BatchTab, row: int, column: int) -> str:
    return str(tab._model.index(row, column).data())


def test_an_empty_queue_invites_and_cannot_be_started(tab: BatchTab):
    assert tab._pages.currentWidget() is tab._empty
    assert not tab._footer._start.isEnabled() and not tab._footer._clear.isEnabled()
    assert tab._footer.text == "" and tab._footer._bar.isHidden()


def test_files_are_added_tracked_and_opened(tab: BatchTab, qtbot: QtBot, clip: Path, tmp_path: Path):
    tab.add_paths([clip])
    wait_for(qtbot, tab, "waiting")
    assert tab._pages.currentWidget() is tab._table
    qtbot.mouseClick(tab._footer._start, Qt.MouseButton.LeftButton)
    wait_for(qtbot, tab, "done")
    assert text(tab, 0, RESULT).startswith("24 frames, 2 tracks")
    qtbot.waitUntil(lambda: tab._footer._start.text() == "&Start")
    assert tab._footer.text == "1 of 1 done" and tab._footer._bar.value() == 1000
    tab._table.selectRow(0)
    tab.activateWindow()
    tab._table.setFocus()
    with qtbot.waitSignal(tab.open_requested) as opened:
        qtbot.keyClick(tab._table, Qt.Key.Key_Return)
    assert opened.args == [tmp_path / "out" / "clip.csv"]
    qtbot.keyClick(tab._table, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: tab._pages.currentWidget() is tab._empty)


def test_results_that_exist_offer_a_retry_with_overwrite(
    tab: BatchTab, qtbot: QtBot, clip: Path, tmp_path: Path
):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clip.csv").write_text("earlier")
    tab.add_paths([clip])
    wait_for(qtbot, tab, "waiting")
    assert tab._toolbar._overwrite is not None and tab._toolbar._overwrite.isHidden()
    tab._footer._start.click()
    wait_for(qtbot, tab, "failed")
    assert "exists already" in text(tab, 0, RESULT) and not tab._toolbar._overwrite.isHidden()
    assert tab._footer.text == "0 of 1 done · 1 failed"
    tab._toolbar._overwrite.click()
    wait_for(qtbot, tab, "done")
    qtbot.waitUntil(lambda: tab._toolbar._overwrite.isHidden())  # type: ignore[union-attr]


def test_a_run_is_paused_resumed_and_cancelled(
    tab: BatchTab, qtbot: QtBot, write_clip: Callable[..., Path], tmp_path: Path
):
    tab.add_paths([write_clip(tmp_path / "long.mp4", 200)])
    wait_for(qtbot, tab, "waiting")
    tab._footer._start.click()
    qtbot.waitUntil(lambda: tab._model.items[0].frames > 0, timeout=20_000)
    tab._footer._start.click()
    wait_for(qtbot, tab, "paused")
    assert tab._footer._start.text() == "Re&sume" and "paused" in tab._footer.text
    tab._footer._start.click()
    qtbot.waitUntil(lambda: tab._footer._start.text() == "Pa&use")
    tab._table.selectRow(0)
    tab._actions["cancel"].trigger()
    wait_for(qtbot, tab, "cancelled")
    tab._footer._clear.click()
    qtbot.waitUntil(lambda: states(tab) == [])


def test_files_and_folders_can_be_dropped(tab: BatchTab, qtbot: QtBot, clip: Path):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(clip.parent)), QUrl("https://example.org/a.mp4")])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    entered = QDragEnterEvent(QPoint(50, 100), copy, data, left, none)
    tab.dragEnterEvent(entered)
    assert entered.isAccepted() and tab._drop.isVisible()
    tab.dropEvent(QDropEvent(QPointF(50, 100), copy, data, left, none))
    assert not tab._drop.isVisible()
    wait_for(qtbot, tab, "waiting")
    assert tab._model.items[0].path == clip


def test_nothing_local_is_not_taken(tab: BatchTab):
    data = QMimeData()
    data.setText("words")
    event = QDragEnterEvent(
        QPoint(5, 5),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    event.ignore()
    tab.dragEnterEvent(event)
    assert not event.isAccepted() and not tab._drop.isVisible()


@pytest.mark.parametrize("ask", ["_ask_files", "_ask_folder", "_ask_out"])
def test_dialogs_do_not_block(tab: BatchTab, ask: str):
    getattr(tab, ask)()
    (dialog,) = tab.findChildren(QFileDialog)
    assert dialog.isVisible() and not dialog.isModal()
    dialog.close()


def test_options_reach_the_queue_and_the_settings_stay(tab: BatchTab, qtbot: QtBot, tmp_path: Path):
    before = tab.queue.options.settings
    with qtbot.waitSignal(tab.options_changed):
        tab._options._video.click()
    tab._options._raw.click()
    tab._options._fps.setValue(12.5)
    tab._options.choose_out(tmp_path)
    options = tab.queue.options
    assert (options.video, options.write.raw, options.fps, options.out) == (True, True, 12.5, tmp_path)
    assert options.settings is before
    tab._options._beside.click()
    assert tab.queue.options.out is None and not tab._options._beside.isEnabled()
    others = TrackSettings()
    assert tab.options_with(others).settings is others and tab.options_with(others).video


def test_options_set_elsewhere_are_shown_without_an_echo(tab: BatchTab, qtbot: QtBot, tmp_path: Path):
    tab.queue.set_options(QueueOptions(out=tmp_path, video=True, fps=25))
    with qtbot.assertNotEmitted(tab.options_changed):
        tab.show_options()
    assert tab._options._video.isChecked() and tab._options._path.full_text == str(tmp_path)


def test_what_cannot_be_had_here_is_dropped_from_the_options(tab: BatchTab):
    tab.queue.set_options(replace(tab.queue.options, write=WriteOptions(formats=("coco", "of tomorrow"))))
    tab.show_options()
    assert tab.queue.options.write.formats == ("coco",)


def test_the_selection_stays_with_its_item(tab: BatchTab, qtbot: QtBot):
    jobs = [Job(key, FOLDER / f"{key}.mp4", state="done") for key in (1, 2, 3)]
    tab.queue._jobs = list(jobs)
    tab.refresh()
    tab.select([2])
    tab.queue._jobs = jobs[1:]
    tab.refresh()
    assert tab.selected_keys() == [2]


def test_retry_without_a_selection_means_all_that_failed(tab: BatchTab, qtbot: QtBot, tmp_path: Path):
    tab.add_paths([tmp_path / "a.mp4", tmp_path / "b.mp4"])
    wait_for(qtbot, tab, "failed", "failed")
    (tmp_path / "a.mp4").write_text("no video")
    tab._actions["retry"].trigger()
    qtbot.waitUntil(lambda: "no such file" not in text(tab, 0, RESULT) != "", timeout=10_000)
    wait_for(qtbot, tab, "failed", "failed")


def test_many_changes_lead_to_few_refreshes(tab: BatchTab, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch):
    counts = []
    monkeypatch.setattr(tab, "refresh", lambda: counts.append(1))
    tab._refresh_timer.timeout.disconnect()
    tab._refresh_timer.timeout.connect(lambda: tab.refresh())
    end = time.monotonic() + 0.35
    while time.monotonic() < end:
        assert tab.queue.on_change is not None
        tab.queue.on_change()
        qtbot.wait(5)
    assert 1 <= len(counts) <= 4


@pytest.mark.parametrize("name", ["light", "dark", "high-contrast"])
def test_every_state_can_be_painted_in_every_theme(tab: BatchTab, name):
    tab.queue._jobs = [
        Job(1, FOLDER / "a.mp4", state="done", warnings=("odd",)),
        Job(2, FOLDER / "b.mp4", state="running", frames=3, total=9, fps=3),
        Job(3, FOLDER / "c.mp4", state="running", frames=3),
        *(Job(4 + i, FOLDER / "d.mp4", state=s) for i, s in enumerate(("failed", "waiting", "cancelled"))),
    ]
    tab.refresh()
    tab.setPalette(make_palette(name))
    tab.select([2])
    assert not tab.grab().isNull()


def test_cells_say_how_an_item_stands():
    model = BatchModel()
    running = BatchItem(1, FOLDER / "a.mp4", "running", frames=50, total=100, fps=24.6, eta_s=75)
    model.show_items([running, BatchItem(2, FOLDER / "b.mp4", "running")])
    assert [str(model.index(0, column).data()) for column in (PROGRESS, SPEED, RESULT)] == [
        "Running",
        "25 fps",
        "1:15 left",
    ]
    accessible = model.index(0, PROGRESS).data(Qt.ItemDataRole.AccessibleTextRole)
    assert accessible == "Running, 50%"
    assert result_text(model.items[1]) == "Opening…"
    assert result_text(BatchItem(3, FOLDER, "running", frames=7)) == "7 frames"
    warned = BatchItem(4, FOLDER, "done", message="fine", warnings=("one", "two"))
    model.show_items([warned])
    assert model.index(0, RESULT).data() == "fine; one" and state_icon(warned) == "warning"
    assert "two" in model.index(0, RESULT).data(Qt.ItemDataRole.ToolTipRole)
    broken = BatchItem(5, FOLDER / "a.mp4", "failed", message=f"{FOLDER / 'a.mp4'} is no video")
    assert result_text(broken) == "a.mp4 is no video", "what is wrong should not be pushed out by a folder"


def test_what_was_done_before_is_said_to_be():
    model = BatchModel()
    model.show_items([BatchItem(1, FOLDER / "a.mp4", "done", frames=24, total=24, done_before=True)])
    assert model.index(0, PROGRESS).data() == "Done before"
    assert model.index(0, RESULT).data() == "24 frames; content, settings and models are the same"
    assert model.index(0, PROGRESS).data(Qt.ItemDataRole.AccessibleTextRole) == "Done before, 100%"


def test_what_comes_after_the_last_frame_is_said():
    at_end = BatchItem(1, FOLDER, "running", frames=24, total=24, fps=30.0, eta_s=0.0)
    assert result_text(at_end) == "Finishing…"
    assert result_text(replace(at_end, step="smoothing", step_share=0.5)) == "Smoothing again…"
    assert result_text(replace(at_end, step="writing", step_share=0.5)) == "Writing again…"


def test_every_state_has_an_icon():
    for state in ("waiting", "running", "paused", "done", "failed", "cancelled"):
        assert state_icon(BatchItem(1, FOLDER, state)) in icon_names()


def test_the_footer_tells_the_time_left(qtbot: QtBot):
    footer = Footer()
    qtbot.addWidget(footer)
    footer.show_totals(BatchTotals("running", 9, 3, 1, 2, 3, 0.5, 200.0))
    assert footer.text == "3 of 9 done · 1 failed · 2 cancelled · about 3:20 left"
    with qtbot.waitSignal(footer.pause_wanted):
        footer._start.click()


def test_the_footer_counts_what_was_done_before(qtbot: QtBot):
    footer = Footer()
    qtbot.addWidget(footer)
    footer.show_totals(BatchTotals("idle", 3, 2, 0, 0, 1, 0.5, None, done_before=1))
    assert footer.text == "2 of 3 done · 1 of them before"


@pytest.mark.slow
def test_a_clip_goes_through_with_formats_a_second_pass_and_plots(
    tab: BatchTab, qtbot: QtBot, clip: Path, tmp_path: Path
):
    options, out = tab._options, tmp_path / "out"
    for name in ("coco", "parquet"):
        options._menu.switch(name).trigger()
    for box in (options._offline, options._plots, options._skip):
        box.click()
    tab.add_paths([clip])
    wait_for(qtbot, tab, "waiting")
    tab._footer._start.click()
    qtbot.waitUntil(lambda: states(tab) in (["done"], ["failed"]), timeout=60_000)
    assert states(tab) == ["done"], text(tab, 0, RESULT)
    results = ResultsFile.open(out / "clip.csv")
    assert results.sidecar.offline and results.sidecar.status == "complete"
    people = COCO(str(out / "clip.coco.json"))
    assert len(people.getAnnIds()) == len(pandas.read_parquet(out / "clip.parquet")) > 24
    assert len(pandas.read_csv(out / "clip.people.csv")) == 2
    assert "<html" in (out / "clip.report.html").read_text("utf-8")
    assert not QImage(str(out / "clip.timeline.png")).isNull()
    assert {out / "clip.coco.json", out / "clip.report.html"} <= set(tab._model.items[0].outputs)
    tab._footer._clear.click()
    wait_for(qtbot, tab)
    written = (out / "clip.json").stat().st_mtime_ns
    tab.add_paths([clip])
    wait_for(qtbot, tab, "waiting")
    tab._footer._start.click()
    wait_for(qtbot, tab, "done")
    assert text(tab, 0, PROGRESS) == "Done before"
    assert (out / "clip.json").stat().st_mtime_ns == written


def test_every_control_can_be_reached_and_has_a_tooltip(tab: BatchTab):
    for button in tab.findChildren(QToolButton):
        assert button.toolTip() and button.accessibleName()
        assert button.focusPolicy() & Qt.FocusPolicy.TabFocus
    assert tab._table.focusPolicy() & Qt.FocusPolicy.TabFocus
