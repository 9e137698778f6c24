import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QAbstractSpinBox, QLabel
from pytestqt.qtbot import QtBot

from app.batch_item import QueueOptions
from app.desktop.batch_options import OptionsRow
from app.desktop.preferences import Preferences
from app.recording import WriteOptions

ALL = QueueOptions(
    out=Path("/results"),
    write=WriteOptions(raw=True, formats=("coco", "trc"), offline=True),
    video=True,
    fps=12.5,
    plots=True,
    skip_done=True,
    fill_gap_s=0.75,
    min_track_s=1.5,
)


@pytest.fixture
def row(qtbot: QtBot) -> Iterator[OptionsRow]:
    row = OptionsRow()
    qtbot.addWidget(row)
    row.resize(900, 160)
    row.show_options(QueueOptions())
    row.show()
    yield row
    row._menu.close()


def test_all_options_are_shown_without_an_echo_and_given_back(row: OptionsRow, qtbot: QtBot):
    with qtbot.assertNotEmitted(row.changed):
        row.show_options(ALL)
    assert row.apply(QueueOptions()) == ALL
    with qtbot.assertNotEmitted(row.changed):
        row.show_options(QueueOptions())
    assert row.apply(QueueOptions()) == QueueOptions()


def test_options_are_the_same_after_a_restart(row: OptionsRow, tmp_path: Path):
    Preferences(tmp_path / "settings.ini").set("batch", ALL)
    remembered = Preferences(tmp_path / "settings.ini").get("batch", QueueOptions, QueueOptions())
    row.show_options(remembered)
    assert remembered == ALL == row.apply(QueueOptions())


def test_options_of_an_older_version_have_the_new_ones_at_rest(tmp_path: Path):
    path = tmp_path / "settings.ini"
    Preferences(path)._store.setValue("batch", '{"video": true, "write": {"raw": true}, "fps": 25.0}')
    remembered = Preferences(path).get("batch", QueueOptions, QueueOptions())
    assert remembered == replace(QueueOptions(), video=True, fps=25.0, write=WriteOptions(raw=True))


@pytest.mark.parametrize("name", ["_plots", "_offline", "_skip", "_video", "_raw"])
def test_every_box_is_switched_by_keyboard_and_told(row: OptionsRow, qtbot: QtBot, name: str):
    box = getattr(row, name)
    with qtbot.waitSignal(row.changed):
        qtbot.keyClick(box, Qt.Key.Key_Space)
    assert row.apply(QueueOptions()) != QueueOptions()


def test_the_button_of_the_formats_counts_and_names_them(row: OptionsRow, qtbot: QtBot):
    width = row._formats.width()
    assert row._formats.text() == "E&xtra formats"
    with qtbot.waitSignal(row.changed):
        row._menu.switch("coco").trigger()
    row._menu.switch("mot").trigger()
    assert row._formats.text() == "E&xtra formats (2)" and row._formats.width() == width
    assert row._formats.toolTip().endswith("COCO keypoints\nOpenSim motion (MOT)")
    assert row._formats.accessibleDescription() == "COCO keypoints, OpenSim motion (MOT)"


def test_what_belongs_to_the_second_pass_is_shown_with_it(row: OptionsRow, qtbot: QtBot):
    assert not row._fill_gap.isVisible() and not row._min_track.isVisible()
    row._offline.click()
    assert row._fill_gap.isVisible() and row._min_track.isVisible()
    with qtbot.waitSignal(row.changed):
        row._fill_gap.setValue(0.2)
    row._min_track.setValue(1.0)
    options = row.apply(QueueOptions())
    assert (options.write.offline, options.fill_gap_s, options.min_track_s) == (True, 0.2, 1.0)


def test_options_go_on_in_more_rows_where_it_is_narrow(row: OptionsRow):
    row.show_options(ALL)
    layout = row.layout()
    assert layout is not None and layout.minimumSize().width() < 420
    assert layout.heightForWidth(420) > layout.heightForWidth(900) > layout.heightForWidth(2000)
    row.resize(420, layout.heightForWidth(420))
    layout.activate()
    controls = [*row.findChildren(QAbstractButton), *row.findChildren(QAbstractSpinBox)]
    for control in (one for one in controls if one.isVisible()):
        place = control.rect().translated(control.mapTo(row, control.rect().topLeft()))
        assert row.rect().contains(place), control.toolTip()


def test_every_control_has_a_name_and_says_what_it_does(row: OptionsRow):
    row.show_options(ALL)
    buddies = [label.buddy() for label in row.findChildren(QLabel)]
    for control in (*row.findChildren(QAbstractButton), *row.findChildren(QAbstractSpinBox)):
        text = control.text() if isinstance(control, QAbstractButton) else ""
        assert text or control.accessibleName() or control in buddies
        assert control.toolTip() and control.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_plots_without_their_package_are_grey_and_say_what_to_install(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "matplotlib" else find(name))
    row = OptionsRow()
    qtbot.addWidget(row)
    row.show_options(ALL)
    assert not row._plots.isEnabled() and 'pip install "steadypose[export]"' in row._plots.toolTip()
    assert not row.apply(ALL).plots
