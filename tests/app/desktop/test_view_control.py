import json
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QContextMenuEvent, QImage
from PySide6.QtWidgets import QApplication, QInputDialog, QListView, QMenu

from app.desktop.overlay import OverlayOptions
from app.desktop.people_delegate import follow_rect, ignore_rect
from app.desktop.preferences import Preferences
from app.desktop.view_control import SWITCHES

KEYS, SHIFT = Qt.Key, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def still(desk: Any, long_clip: Path) -> Any:
    """The window with a clip that was paused when two people were painted."""
    desk.open(long_clip)
    desk.until(lambda: len(desk.people) == 2)
    desk.pause_at(30)
    return desk


def menu_of(desk: Any, track_id: int) -> QMenu:
    """Right-click a person and return the menu that opens."""
    place = desk.place_of(track_id)
    event = QContextMenuEvent(
        QContextMenuEvent.Reason.Mouse,
        place,
        desk.page.view.mapToGlobal(place),
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(desk.page.view, event)
    menu = QApplication.activePopupWidget()
    assert isinstance(menu, QMenu)
    return menu


def choose(menu: QMenu, text: str) -> None:
    (action,) = [action for action in menu.actions() if action.text() == text]
    action.trigger()
    menu.close()


def test_number_keys_switch_what_is_drawn(desk: Any, preferences: Preferences) -> None:
    for place, name in enumerate(SWITCHES, start=1):
        before = getattr(desk.page.view.options, name)
        desk.press(Qt.Key(KEYS.Key_0 + place))
        assert getattr(desk.page.view.options, name) is not before, name
        assert desk.actions[name].isChecked() is not before, name
    assert preferences.get("overlay", OverlayOptions, OverlayOptions()) == desk.page.view.options


def test_the_heatmap_is_computed_only_while_it_is_shown(still: Any) -> None:
    assert still.painted.result.heatmap is None
    still.press(KEYS.Key_8)
    still.press(KEYS.Key_Right)
    still.until(lambda: still.painted.result.heatmap is not None)
    still.press(KEYS.Key_8)
    still.press(KEYS.Key_Right)
    still.until(lambda: still.painted.result.heatmap is None)


def test_a_click_follows_a_person_and_another_lets_go(still: Any) -> None:
    person = still.people[0]
    still.click(still.place_of(person))
    assert still.page.view._attention.followed == person
    assert still.actions["unfollow"].isEnabled()
    still.click(still.place_of(person))
    assert still.page.view._attention.followed is None


def test_a_key_follows_nobody(still: Any) -> None:
    still.click(still.place_of(still.people[1]))
    still.press(KEYS.Key_F, SHIFT)
    assert still.page.view._attention.followed is None
    assert not still.actions["unfollow"].isEnabled()


def test_a_person_is_named_by_the_menu(still: Any) -> None:
    person = still.people[0]
    choose(menu_of(still, person), "Name…")
    dialog = still.window.findChild(QInputDialog)
    dialog.setTextValue("  Ada ")
    dialog.accept()
    assert still.window.view.names == {person: "Ada"}
    assert still.page.view._attention.names == {person: "Ada"}
    menu = menu_of(still, person)
    assert menu.actions()[0].text() == "Ada"
    menu.close()


def test_a_person_is_ignored_by_the_menu_and_comes_back_by_the_people_panel(still: Any) -> None:
    person, other = still.people
    choose(menu_of(still, person), "Ignore")
    still.press(KEYS.Key_Right)
    still.until(lambda: still.people == [other])
    people = show_people(still)
    row = row_of(people, person)
    still.qtbot.mouseClick(people.viewport(), Qt.MouseButton.LeftButton, pos=ignore_rect(row).center())
    still.press(KEYS.Key_Space)
    still.until(lambda: set(still.people) == {person, other})


def test_following_somebody_ends_with_ignoring_them(still: Any) -> None:
    person = still.people[0]
    choose(menu_of(still, person), "Follow")
    assert still.page.view._attention.followed == person
    choose(menu_of(still, person), "Ignore")
    assert still.page.view._attention.followed is None


def show_people(desk: Any) -> QListView:
    """Open the people panel and return its list."""
    desk.window.show_dock("people")
    people: QListView = desk.window.people.findChild(QListView)
    desk.until(lambda: people.model().rowCount() == 2 and people.isVisible())
    return people


def row_of(people: QListView, track_id: int) -> Any:
    numbers = [entry.track_id for entry in people.model().entries()]
    return people.visualRect(people.model().index(numbers.index(track_id), 0))


def test_the_people_panel_follows_and_names(still: Any) -> None:
    person = still.people[1]
    people = show_people(still)
    still.qtbot.mouseClick(
        people.viewport(), Qt.MouseButton.LeftButton, pos=follow_rect(row_of(people, person)).center()
    )
    assert still.page.view._attention.followed == person
    numbers = [entry.track_id for entry in people.model().entries()]
    people.model().setData(people.model().index(numbers.index(person), 0), "Grace", Qt.ItemDataRole.EditRole)
    assert still.window.view.names == {person: "Grace"}


def test_names_do_not_pass_to_who_comes_later(still: Any) -> None:
    still.window.people.renamed.emit(still.people[0], "Ada")
    still.press(KEYS.Key_Home)
    still.until(lambda: still.index == 0)
    assert not still.window.view.names


def test_people_are_followed_only_in_a_region_drawn_with_the_mouse(still: Any) -> None:
    still.press(KEYS.Key_G)
    assert still.actions["region"].isChecked()
    still.drag(still.place_at(400, 60), still.place_at(620, 350))
    assert not still.actions["region"].isChecked()
    region = still.window.settings.settings.estimator.region
    assert region == pytest.approx((400, 60, 620, 350), abs=2)
    still.press(KEYS.Key_Space)
    still.until(lambda: len(still.people) == 1)
    assert still.place_of(still.people[0]).x() > still.place_at(400, 60).x()
    still.press(KEYS.Key_G, SHIFT)
    assert still.window.settings.settings.estimator.region is None
    still.until(lambda: len(still.people) == 2)


def test_a_region_belongs_to_its_source(still: Any, marker_folder: Path) -> None:
    still.page.view.region_drawn.emit((0.0, 0.0, 50.0, 50.0))
    assert still.actions["clear_region"].isEnabled()
    still.open(marker_folder)
    assert still.window.settings.settings.estimator.region is None
    assert still.page.view._region is None
    assert not still.actions["clear_region"].isEnabled()


def test_escape_puts_the_region_tool_away(still: Any) -> None:
    still.press(KEYS.Key_G)
    still.qtbot.keyClick(still.page.view, KEYS.Key_Escape)
    assert not still.actions["region"].isChecked()


def test_a_snapshot_is_a_picture_of_the_frame_with_people_on_it(still: Any, tmp_path: Path) -> None:
    still.press(KEYS.Key_S)
    still.until(lambda: still.told_of("Snapshot saved"))
    (path,) = (tmp_path / "takes").glob("snapshot-*.png")
    picture = QImage(str(path))
    assert (picture.width(), picture.height()) == (640, 360)


def test_every_one_of_many_snapshots_is_written_also_while_closing(still: Any, tmp_path: Path) -> None:
    for _ in range(3):
        still.window.view.snapshot()
        still.qtbot.wait(2)
    still.window.close()
    assert len(list((tmp_path / "takes").glob("snapshot-*.png"))) == 3


def test_a_snapshot_that_cannot_be_written_is_told(still: Any, tmp_path: Path) -> None:
    (tmp_path / "takes").write_text("a file where the folder should be")
    still.press(KEYS.Key_S)
    still.until(lambda: still.told_of("choose another folder"))


def test_only_live_pictures_are_mirrored(desk: Any, mjpeg_server: Any, clip: Path) -> None:
    desk.open(mjpeg_server.address)
    desk.press(KEYS.Key_I)
    assert desk.page.view._mirrored
    assert desk.page.transport.mirrored
    desk.open(clip)
    assert not desk.page.view._mirrored
    assert not desk.actions["mirrored"].isEnabled()
    assert desk.actions["mirrored"].isChecked(), "for the next camera"


def test_the_hint_of_the_first_run_is_given_once(
    make_desk: Any, preferences: Preferences, clip: Path
) -> None:
    preferences.set("hinted", False)
    desk = make_desk()
    desk.open(clip)
    desk.until(lambda: desk.told_of("Click a person"))
    desk.window.close()
    again = make_desk(Preferences(preferences.folder / "settings.ini"))
    again.open(clip)
    again.until_state("ended")
    assert not again.told_of("Click a person")


def test_colours_of_people_reach_the_stage_the_plots_and_the_next_start(
    desk: Any, preferences: Preferences
) -> None:
    desk.window.view.set_palette("vivid")
    assert desk.page.view.options.palette == "vivid"
    assert desk.window.plots._palette == "vivid"
    assert json.loads(preferences._store.value("overlay"))["palette"] == "vivid"


def test_zoom_keys_zoom_and_fit(still: Any) -> None:
    view = still.page.view
    before = view._place.scale
    still.actions["zoom_in"].trigger()
    assert view._place.scale > before
    still.qtbot.keyClick(view, KEYS.Key_0)
    assert view._place.scale == pytest.approx(before)
