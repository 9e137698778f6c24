import importlib.util
import logging
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot

from app.desktop.format_menu import SECTIONS, FormatMenu
from engine.sinks.formats import FORMATS


@pytest.fixture
def menu(qtbot: QtBot) -> Iterator[FormatMenu]:
    menu = FormatMenu()
    qtbot.addWidget(menu)
    yield menu
    menu.close()


def test_every_format_but_the_csv_can_be_ticked_and_says_what_it_is_for(menu: FormatMenu):
    entries = [entry for _, section in SECTIONS for entry in section]
    assert sorted(entry.name for entry in entries) == sorted(set(FORMATS) - {"csv"})
    for entry in entries:
        assert menu.switch(entry.name).isCheckable() and menu.switch(entry.name).toolTip() == entry.tip
    letters = [entry.text[entry.text.index("&") + 1].lower() for entry in entries]
    assert len(letters) == len(set(letters))


def test_what_is_ticked_is_told_by_the_names_of_the_engine(menu: FormatMenu, qtbot: QtBot):
    with qtbot.assertNotEmitted(menu.changed):
        menu.tick(("trc", "coco"))
    with qtbot.waitSignal(menu.changed):
        menu.switch("sleap").trigger()
    assert menu.formats == ("coco", "sleap", "trc")
    assert menu.text_of("coco") == "COCO keypoints"


def test_several_can_be_ticked_with_mouse_and_keys_without_opening_the_menu_again(
    menu: FormatMenu, qtbot: QtBot
):
    menu.popup(QPoint(0, 0))
    for name in ("coco", "trc"):
        menu.setActiveAction(menu.switch(name))
        where = menu.actionGeometry(menu.switch(name)).center()
        qtbot.mouseMove(menu, where)
        qtbot.mouseClick(menu, Qt.MouseButton.LeftButton, pos=where)
    menu.setActiveAction(menu.switch("posetrack"))
    qtbot.keyClick(menu, Qt.Key.Key_Space)
    assert menu.isVisible() and menu.formats == ("coco", "posetrack", "trc")
    qtbot.keyClick(menu, Qt.Key.Key_Escape)
    assert not menu.isVisible()


def test_a_format_without_its_package_is_grey_and_says_what_to_install(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ezc3d" else find(name))
    menu = FormatMenu()
    qtbot.addWidget(menu)
    switch, install = menu.switch("c3d"), 'pip install "steadypose[export]"'
    assert not switch.isEnabled() and install in switch.text() and install in switch.toolTip()
    assert menu.switch("trc").isEnabled()
    with caplog.at_level(logging.WARNING):
        menu.tick(("c3d", "trc", "format of tomorrow"))
    assert menu.formats == ("trc",)
    assert "c3d" in caplog.text and "format of tomorrow" in caplog.text
