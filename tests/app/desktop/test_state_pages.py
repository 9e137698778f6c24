import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QLabel, QProgressBar, QPushButton
from pytestqt.qtbot import QtBot

from app.desktop.state_pages import ErrorPage, LoadingPage, tinted
from app.desktop.theme import make_palette

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def loading(qtbot: QtBot) -> LoadingPage:
    widget = LoadingPage()
    qtbot.addWidget(widget)
    widget.resize(640, 400)
    widget.show()
    return widget


@pytest.fixture
def error(qtbot: QtBot) -> ErrorPage:
    widget = ErrorPage()
    qtbot.addWidget(widget)
    widget.resize(640, 400)
    widget.show()
    return widget


def button(page: ErrorPage | LoadingPage, text: str) -> QPushButton:
    (found,) = [b for b in page.findChildren(QPushButton) if b.text().replace("&", "") == text]
    return found


def test_loading_says_what_is_being_done_without_an_end_in_sight(loading: LoadingPage):
    loading.show_loading("Opening the camera…", "This may take some seconds")
    shown = [label.text() for label in loading.findChildren(QLabel) if label.isVisible()]
    assert shown == ["Opening the camera…", "This may take some seconds"]
    assert loading.text == "Opening the camera…"
    assert loading.findChild(QProgressBar).maximum() == 0


def test_loading_shows_a_known_share(loading: LoadingPage):
    loading.show_loading("Fetching a model", share=0.25)
    bar = loading.findChild(QProgressBar)
    assert bar.value() / bar.maximum() == 0.25
    loading.show_loading("Fetching a model", share=7.0)
    assert bar.value() == bar.maximum()


@pytest.mark.parametrize("key", [None, Qt.Key.Key_Space])
def test_waiting_can_be_ended(loading: LoadingPage, qtbot: QtBot, key: Qt.Key | None):
    with qtbot.waitSignal(loading.cancel_wanted):
        if key is None:
            qtbot.mouseClick(button(loading, "Cancel"), LEFT)
        else:
            qtbot.keyClick(button(loading, "Cancel"), key)


def test_an_error_says_what_to_do_and_offers_two_ways_on(error: ErrorPage, qtbot: QtBot):
    error.show_error("The camera is gone", "Plug it in again, then retry.")
    shown = [label.text() for label in error.findChildren(QLabel) if label.isVisible() and label.text()]
    assert shown == ["The camera is gone", "Plug it in again, then retry."]
    with qtbot.waitSignal(error.retry_wanted):
        qtbot.mouseClick(button(error, "Retry"), LEFT)
    with qtbot.waitSignal(error.choose_wanted):
        qtbot.keyClick(button(error, "Choose another source"), Qt.Key.Key_Space)


def test_where_retrying_is_of_no_use_another_source_is_still_offered(error: ErrorPage):
    error.show_error("The file is no video", "", can_retry=False)
    assert not button(error, "Retry").isVisible()
    assert button(error, "Choose another source").isVisible()


def test_a_long_sentence_is_not_cut(error: ErrorPage, qtbot: QtBot):
    error.show_error("word " * 60, "advice " * 60)
    qtbot.wait(20)
    for label in error.findChildren(QLabel):
        if label.text():
            assert label.height() >= label.heightForWidth(label.width())


def test_the_error_icon_takes_the_theme_s_colour(error: ErrorPage):
    error.show_error("No", "")
    icons = []
    for theme in ("light", "dark"):
        error.setPalette(make_palette(theme))
        (label,) = [found for found in error.findChildren(QLabel) if not found.pixmap().isNull()]
        icons.append(label.pixmap().toImage())
    assert icons[0] != icons[1]


def test_a_tinted_icon_has_one_colour_and_the_display_s_pixels(qtbot: QtBot):
    pixmap = tinted("error", QColor("#ff0000"), 24, 2.0)
    assert pixmap.width() == 48
    image = pixmap.toImage()
    colours = {
        image.pixelColor(x, y).name()
        for x in range(48)
        for y in range(48)
        if image.pixelColor(x, y).alpha() == 255
    }
    assert colours == {"#ff0000"}
