from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.desktop.record_bar import NARROW_PX, RecordBar
from app.desktop.record_parts import FolderButton, format_bytes
from app.desktop.theme import make_palette, status_colour
from app.take_values import TakeOptions, TakeStatus, take_paths

OPTIONS = TakeOptions(Path("/takes"), "desk")
PATHS = take_paths(OPTIONS, 3)
RUNNING = TakeStatus(3, "recording", 72.34, 12_400_000, 4000, 2000, markers=2, paths=PATHS)


@pytest.fixture
def bar(qtbot: QtBot) -> RecordBar:
    made = RecordBar()
    qtbot.addWidget(made)
    made.set_options(OPTIONS)
    made.resize(960, 48)
    made.show()
    return made


def test_before_the_first_take_it_offers_to_record(qtbot: QtBot, bar: RecordBar):
    assert (bar.record_button.text(), bar.clock.text(), bar.line.words) == (
        "Re&cord",
        "0:00.0",
        "No take yet",
    )
    assert not bar.marker_button.isEnabled()
    assert not bar.losses.isVisible() and not bar.open_button.isVisible()
    with qtbot.waitSignal(bar.record_toggled):
        qtbot.mouseClick(bar.record_button, Qt.MouseButton.LeftButton)


def test_without_a_source_it_says_why_it_cannot_record(bar: RecordBar):
    bar.set_enabled_for_source(False, "Open a source first")
    assert not bar.record_button.isEnabled()
    assert bar.record_button.toolTip() == bar.line.words == "Open a source first"
    bar.set_enabled_for_source(True)
    assert bar.record_button.isEnabled() and bar.line.words == "No take yet"


def test_a_running_take_shows_clock_number_size_and_markers(qtbot: QtBot, bar: RecordBar):
    bar.show_take(RUNNING)
    assert (bar.record_button.text(), bar.clock.text(), bar.line.words) == (
        "S&top",
        "1:12.3",
        "Take 3 · 12.4 MB",
    )
    assert bar.marker_button.text() == "&Mark (2)"
    with qtbot.waitSignal(bar.marker_requested):
        qtbot.mouseClick(bar.marker_button, Qt.MouseButton.LeftButton)


def test_a_running_take_can_be_stopped_though_the_source_is_gone(qtbot: QtBot, bar: RecordBar):
    bar.show_take(RUNNING)
    bar.set_enabled_for_source(False, "Open a source first")
    with qtbot.waitSignal(bar.record_toggled):
        qtbot.mouseClick(bar.record_button, Qt.MouseButton.LeftButton)


def test_the_button_is_as_wide_while_it_records(bar: RecordBar):
    width = bar.record_button.width()
    bar.show_take(RUNNING)
    QApplication.processEvents()
    assert bar.record_button.width() == width


def test_losses_are_shown_with_their_cause_only_where_there_are_any(bar: RecordBar):
    bar.show_take(replace(RUNNING, lost_rows=1))
    assert bar.losses.isVisible() and bar.losses.text() == "1 row lost"
    assert "disk" in bar.losses.toolTip() and "encoding" not in bar.losses.toolTip()
    bar.show_take(replace(RUNNING, lost_rows=3, lost_video_frames=128))
    assert bar.losses.text() == "3 rows, 128 video frames lost"
    assert "128 video frames lost: encoding" in bar.losses.toolTip()
    bar.show_take(RUNNING)
    assert not bar.losses.isVisible()


def test_a_finished_take_can_be_opened(qtbot: QtBot, bar: RecordBar):
    bar.show_take(replace(RUNNING, state="finishing"))
    assert bar.line.words == "Finishing take 3…" and not bar.open_button.isVisible()
    assert bar.record_button.text() == "Re&cord"
    bar.show_take(replace(RUNNING, state="done"))
    assert bar.line.words == "Take 3 saved · 12.4 MB"
    with qtbot.waitSignal(bar.take_open_requested) as asked:
        qtbot.mouseClick(bar.open_button, Qt.MouseButton.LeftButton)
    assert asked.args == [PATHS.csv]


def test_a_failed_take_says_why(bar: RecordBar):
    bar.show_take(replace(RUNNING, state="failed", message="the disk is full"))
    assert bar.line.words == "Take 3 failed: the disk is full"
    bar.show_take(TakeStatus(None, "failed", message="the folder cannot be made"))
    assert bar.line.words == "The take failed: the folder cannot be made"
    assert not bar.open_button.isVisible()


def test_a_text_that_has_no_room_is_shortened_and_whole_in_the_tooltip(bar: RecordBar):
    bar.show_take(replace(RUNNING, state="failed", message="the disk is full; " * 20))
    QApplication.processEvents()
    assert bar.line.text().endswith("…")
    assert bar.line.toolTip() == bar.line.words


def test_ticks_change_the_options(qtbot: QtBot, bar: RecordBar):
    assert bar.options == OPTIONS
    with qtbot.waitSignal(bar.options_changed):
        bar.menu.switch("clean_video").trigger()
    assert bar.options == replace(OPTIONS, clean_video=True)
    with qtbot.assertNotEmitted(bar.options_changed):
        bar.set_options(replace(OPTIONS, raw=True, annotated_video=False))
    assert bar.menu.switch("raw").isChecked() and not bar.menu.switch("annotated_video").isChecked()
    assert bar.options.raw


def test_several_things_can_be_ticked_without_opening_the_menu_again(qtbot: QtBot, bar: RecordBar):
    menu = bar.menu
    menu.popup(bar.mapToGlobal(QPoint(0, 0)))
    for name in ("clean_video", "raw"):
        where = menu.actionGeometry(menu.switch(name)).center()
        qtbot.mouseMove(menu, where)
        menu.setActiveAction(menu.switch(name))
        qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=where)
    assert menu.isVisible()
    menu.setActiveAction(menu.switch("long"))
    qtbot.keyClick(menu, Qt.Key.Key_Space)
    assert menu.isVisible()
    menu.close()
    assert bar.options == replace(OPTIONS, clean_video=True, raw=True, long=True)


def test_the_folder_is_shown_changed_and_opened(qtbot: QtBot, bar: RecordBar):
    bar.set_folder(Path.home() / "Videos")
    QApplication.processEvents()
    assert bar.options.folder == Path.home() / "Videos"
    assert bar.folder_button.text() == "~/Videos"
    assert str(Path.home() / "Videos") in bar.folder_button.toolTip()
    with qtbot.waitSignal(bar.folder_change_requested):
        qtbot.mouseClick(bar.folder_button, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(bar.folder_open_requested):
        qtbot.mouseClick(bar.show_button, Qt.MouseButton.LeftButton)


def test_a_long_folder_is_shortened_in_its_middle(qtbot: QtBot):
    button = FolderButton()
    qtbot.addWidget(button)
    button.set_folder(Path("/media") / ("long" * 20) / "takes")
    button.resize(button.sizeHint())
    button.show()
    assert button.text().startswith("/media") and button.text().endswith("takes") and "…" in button.text()


@pytest.mark.parametrize(("width", "rows"), [(NARROW_PX + 100, 1), (280, 2)])
def test_a_narrow_bar_takes_two_rows(qtbot: QtBot, bar: RecordBar, width: int, rows: int):
    bar.show_take(replace(RUNNING, lost_rows=3, lost_video_frames=128))
    bar.resize(width, 100)
    QApplication.processEvents()
    below = bar.marker_button.y() >= bar.record_button.geometry().bottom()
    assert below == (rows == 2)
    assert bar.losses.text() == ("131 lost" if rows == 2 else "3 rows, 128 video frames lost")
    right = max(button.geometry().right() for button in (bar.losses, bar.show_button))
    assert right < bar.width()


def test_it_can_be_used_from_the_keyboard(bar: RecordBar):
    bar.show_take(replace(RUNNING, state="done"))
    parts = (
        bar.record_button,
        bar.open_button,
        bar.write_button,
        bar.folder_button,
        bar.show_button,
        bar.marker_button,
    )
    assert all(part.focusPolicy() & Qt.FocusPolicy.TabFocus for part in parts)
    assert all(part.text() or part.accessibleName() for part in parts)
    assert all(part.toolTip() for part in parts)


def test_colours_follow_the_theme(bar: RecordBar):
    bar.show_take(replace(RUNNING, lost_rows=3))
    for theme in ("light", "dark"):
        palette = make_palette(theme)
        bar.setPalette(palette)
        QApplication.processEvents()
        seen = bar.losses.palette().color(QPalette.ColorRole.WindowText)
        assert seen == status_colour("warning", palette)
        faint = bar.line.palette().color(QPalette.ColorRole.WindowText)
        assert faint == palette.color(QPalette.ColorRole.PlaceholderText)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 kB"), (1, "1 kB"), (640_000, "640 kB"), (12_440_000, "12.4 MB"), (1_250_000_000, "1.25 GB")],
)
def test_sizes_are_told_in_words(count: int, text: str):
    assert format_bytes(count) == text
