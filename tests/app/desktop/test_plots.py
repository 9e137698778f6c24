import csv
import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from app.desktop import plots_view
from app.desktop.plots import MAX_PLOTS, PlotsPanel
from app.desktop.plots_bar import PlotsBar
from app.desktop.plots_data import Quantity, SeriesStore
from app.desktop.plots_view import line_colour
from app.desktop.theme import make_palette
from engine.skeleton import COCO17, LSP14, Skeleton
from engine.structures import Frame, Result, TrackedPerson

KNEE, WRIST = Quantity("angle", "left_knee"), Quantity("y", "left_wrist")
IMAGE = np.zeros((2, 2, 3), np.uint8)
CURVE = np.random.default_rng(1).uniform(50, 150, (17, 2)).astype(np.float32)


def make_result(index: int, *track_ids: int) -> Result:
    people = tuple(
        TrackedPerson(
            track_id=track_id,
            keypoints=CURVE + np.float32(track_id * 20 + 10 * np.sin(index / 10)),
            raw_keypoints=CURVE + np.float32(1),
            velocity=np.ones((17, 2), np.float32),
            scores=np.ones(17, np.float32),
            state=np.full(17, 2, np.int8),
            bbox=np.array([0, 0, 100, 100], np.float32),
            score=1.0,
            age_s=1.0,
        )
        for track_id in track_ids
    )
    return Result(Frame(IMAGE, index, index / 30), people)


@pytest.fixture
def panel(qtbot: QtBot) -> PlotsPanel:
    panel = PlotsPanel()
    qtbot.addWidget(panel)
    panel.set_skeleton(COCO17)
    for index in range(90):
        panel.add_result(make_result(index, 1, 2))
    panel.resize(420, 620)
    settle(qtbot, panel)
    return panel


def settle(qtbot: QtBot, panel: PlotsPanel) -> None:
    """Wait until all plots are made."""
    qtbot.waitUntil(lambda: not panel._pending, timeout=5000)


def curves(panel: PlotsPanel, card: int = 0) -> set[tuple[int, bool]]:
    return set(panel._cards[card]._curves)


def test_it_begins_with_two_plots_of_everybody(panel: PlotsPanel):
    assert panel.quantities == (KNEE, WRIST)
    panel.redraw()
    assert curves(panel) == {(1, False), (2, False)}
    times, values = panel._cards[1]._curves[1, False].getData()
    assert len(times) == 90 and values[0] == pytest.approx(CURVE[9, 1] + 20)
    assert panel._cards[1].view_box.yInverted() and not panel._cards[0].view_box.yInverted()
    assert "Person 1" in panel._legend.text().replace("&nbsp;", " ")


def test_results_are_drawn_by_a_timer_while_it_is_seen_and_not_otherwise(panel: PlotsPanel, qtbot: QtBot):
    panel.show()
    panel.add_result(make_result(90, 1, 2, 3))
    qtbot.waitUntil(lambda: (3, False) in curves(panel), timeout=2000)
    panel.hide()
    assert not panel._timer.isActive()
    drawn = panel._drawn_version
    panel.add_result(make_result(91, 1))
    qtbot.wait(150)
    assert panel._drawn_version == drawn


def test_plots_are_drawn_one_after_the_other_and_never_two_in_one_turn(panel: PlotsPanel, qtbot: QtBot):
    drawn: list[Quantity] = []
    panel.redraw()
    panel._timer.stop()
    draw_card = panel._draw_card
    panel._draw_card = lambda card: (drawn.append(card.quantity), draw_card(card))
    panel.add_result(make_result(90, 1, 2, 3))
    panel._draw_next()
    assert drawn == [KNEE] and panel._timer.isActive()
    panel.add_result(make_result(91, 1, 2, 3))
    panel._pace.begin(time.perf_counter() + 60)
    panel._draw_next()
    assert drawn == [KNEE], "it is not time yet"
    panel._pace.begin(float("-inf"))
    panel._draw_next()
    assert drawn == [KNEE, WRIST]
    assert len({card.time_range for card in panel._cards}) == 1, "a round shows one stretch of time"
    panel._timer.stop()


def test_plots_that_take_long_are_drawn_less_often(panel: PlotsPanel, monkeypatch: pytest.MonkeyPatch):
    panel.redraw()
    monkeypatch.setattr(plots_view.PlotCard, "painted_s", 0.0)
    panel.add_result(make_result(90, 1, 2))
    panel._draw_next()
    soon = panel._timer.interval()
    panel._pace.spend(10.0)
    panel._draw_next()
    assert panel._timer.interval() > 5000 > soon
    panel._timer.stop()


def test_axes_move_together_while_paused_and_by_themselves_while_running(panel: PlotsPanel):
    first, second = (card.view_box for card in panel._cards)
    assert second.linkedView(0) is None
    panel.set_paused(True)
    assert second.linkedView(0) is first
    panel.set_paused(False)
    assert second.linkedView(0) is None


def test_a_new_range_is_painted_once(panel: PlotsPanel, qtbot: QtBot):
    panel.show()
    qtbot.waitExposed(panel)
    panel._timer.stop()
    qtbot.wait(50)
    painted: list[int] = []
    panel._cards[0]._plot.scene().sigPrepareForPaint.connect(lambda: painted.append(1))
    for index in range(90, 300):
        panel.add_result(make_result(index, 1, 2))
    panel._begin_round()
    panel._draw_card(panel._cards[0])
    qtbot.wait(100)
    assert len(painted) == 2, "once to prepare, and once to paint"


def test_plots_are_added_up_to_four_and_removed(panel: PlotsPanel, qtbot: QtBot):
    for name in ("nose", "left_hip", "right_hip"):
        panel.add_plot(Quantity("speed", name))
    assert len(panel.quantities) == MAX_PLOTS
    assert not panel._bar._add.isEnabled() and "remove" in panel._bar._add.toolTip()
    panel.add_plot(KNEE)
    panel._cards[0]._remove.click()
    assert panel.quantities[0] == WRIST and panel._bar._add.isEnabled()
    panel.add_plot(WRIST)
    assert panel.quantities.count(WRIST) == 1
    panel.set_plots([])
    assert not panel._stack.empty.isHidden() and not panel._bar._export.isEnabled()


def test_all_plots_show_the_same_stretch_of_time(panel: PlotsPanel):
    panel.set_view(5, raw=False)
    for index in range(90, 300):
        panel.add_result(make_result(index, 1))
    panel.redraw()
    newest = 299 / 30
    for card in panel._cards:
        assert card.time_range == pytest.approx((newest - 5, newest))
    assert panel.span_s == 5


def test_a_low_wide_panel_has_two_columns_and_times_below_each(panel: PlotsPanel, qtbot: QtBot):
    panel.add_plot(Quantity("speed", "nose"))
    panel.show()
    assert panel._stack.columns == 1
    assert [card._item.getAxis("bottom").style["showValues"] for card in panel._cards] == [False, False, True]
    panel.resize(1000, 300)
    qtbot.waitUntil(lambda: panel._stack.columns == 2, timeout=2000)
    assert [card._item.getAxis("bottom").style["showValues"] for card in panel._cards] == [False, True, True]
    panel.redraw()
    assert len({card.time_range for card in panel._cards}) == 1


def test_raw_values_lie_beside_as_dotted_lines(panel: PlotsPanel):
    panel.set_view(10, raw=True)
    assert curves(panel) == {(person, raw) for person in (1, 2) for raw in (False, True)}
    pen = panel._cards[0]._curves[1, True].opts["pen"]
    assert pen.style() == Qt.PenStyle.DotLine
    panel.set_view(10, raw=False)
    assert curves(panel) == {(1, False), (2, False)}


def test_people_can_be_chosen(panel: PlotsPanel):
    panel.show_people([2])
    assert curves(panel) == {(2, False)}
    assert "Person 1" not in panel._legend.text().replace("&nbsp;", " ")
    panel.show_people(None)
    assert curves(panel) == {(1, False), (2, False)}


def test_people_go_by_their_names_wherever_they_are_written(panel: PlotsPanel):
    panel.show_person_names({1: "Anna <3"})
    panel.redraw()
    assert "Anna&nbsp;&lt;3" in panel._legend.text()
    panel._bar._fill_menu()
    assert [action.text() for action in panel._bar._menu.actions() if action.text()] == [
        "Everybody",
        "Anna <3",
        "Person 2",
    ]


def test_a_pause_holds_what_is_shown_and_lets_it_be_moved(panel: PlotsPanel):
    panel.redraw()
    panel.set_paused(True)
    before = panel._cards[0].time_range
    for index in range(90, 400):
        panel.add_result(make_result(index, 7))
    panel.redraw()
    assert panel._cards[0].time_range == before and curves(panel) == {(1, False), (2, False)}
    assert panel._cards[0].view_box.state["mouseEnabled"] == [True, False]
    panel._cards[0].set_time_range(1, 2)
    assert panel._cards[1].time_range == pytest.approx((1, 2))
    panel.set_paused(False)
    assert (7, False) in curves(panel)


def test_the_pointer_tells_everybodys_value_at_its_time(panel: PlotsPanel):
    panel.redraw()
    panel._point(1.0)
    value = CURVE[9, 1] + 20 + 10 * np.sin(3)
    assert f"{value:.0f}" in panel._cards[1]._readout.text()
    assert panel._cards[0]._cursor.isVisible()
    panel._point(float("nan"))
    assert panel._cards[1]._readout.text() == "" and not panel._cards[0]._cursor.isVisible()


def test_the_visible_stretch_is_exported(panel: PlotsPanel, qtbot: QtBot, tmp_path: Path):
    panel.redraw()
    panel.set_paused(True)
    panel._cards[0].set_time_range(1, 2)
    panel.show_people([2])
    path = tmp_path / "plots.csv"
    with qtbot.waitSignal(panel.told) as told:
        panel.export(path)
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["track_id"] for row in rows} == {"2"}
    assert (rows[0]["frame"], rows[-1]["frame"]) == ("30", "60")
    assert "left_knee_angle_deg" in rows[0] and "31 rows" in told.args[0]


def test_an_export_that_fails_is_told_as_a_sentence(panel: PlotsPanel, qtbot: QtBot, tmp_path: Path):
    with qtbot.waitSignal(panel.told) as told:
        panel.export(tmp_path / "no" / "plots.csv")
    assert "cannot be written" in told.args[0]


def test_the_export_button_asks_where_without_blocking(panel: PlotsPanel, qtbot: QtBot, tmp_path: Path):
    panel.redraw()
    panel._bar._export.click()
    from PySide6.QtWidgets import QFileDialog

    (dialog,) = panel.findChildren(QFileDialog)
    assert dialog.isVisible() and not dialog.isModal() and panel.paused
    with qtbot.waitSignal(panel.told):
        dialog.fileSelected.emit(str(tmp_path / "x.csv"))
    assert (tmp_path / "x.csv").stat().st_size > 0
    dialog.close()


def test_another_source_begins_with_empty_plots(panel: PlotsPanel):
    panel.redraw()
    panel.reset()
    assert curves(panel) == set() and not panel._cards[0]._empty.isHidden()
    assert panel._legend.isHidden()


def test_plots_of_keypoints_that_a_new_skeleton_lacks_go(panel: PlotsPanel, qtbot: QtBot):
    panel.set_plots([Quantity("x", "nose"), KNEE])
    assert panel.quantities == (Quantity("x", "nose"), KNEE)
    settle(qtbot, panel)
    assert panel.quantities == (Quantity("x", "nose"), KNEE)
    panel.set_skeleton(LSP14)
    assert panel.quantities == (KNEE,)
    panel.set_skeleton(Skeleton(name="one", keypoints=("tip",), limbs=(), flip_pairs=(), oks_sigmas=(0.1,)))
    assert panel.quantities == ()


def test_a_store_that_was_filled_before_is_shown(qtbot: QtBot):
    store = SeriesStore()
    store.set_skeleton(COCO17)
    store.add_result(make_result(0, 4))
    store.add_result(make_result(1, 4))
    panel = PlotsPanel(store, [WRIST])
    qtbot.addWidget(panel)
    assert panel.quantities == (WRIST,)
    assert curves(panel) == {(4, False)}


def test_without_a_source_it_says_what_is_missing(qtbot: QtBot):
    panel = PlotsPanel()
    qtbot.addWidget(panel)
    assert "Open a source" in panel._stack.empty.text() and not panel._stack.empty.isHidden()
    panel.set_skeleton(COCO17)
    panel.set_plots([])
    assert "No plots" in panel._stack.empty.text()


def test_names_offered_follow_the_quantity(qtbot: QtBot):
    bar = PlotsBar()
    qtbot.addWidget(bar)
    assert not bar._add.isEnabled()
    bar.set_skeleton(COCO17)
    assert bar._name.count() == 17
    bar._kind.setCurrentIndex(bar._kind.findData("angle"))
    assert [bar._name.itemText(row) for row in (0, 7)] == ["Left elbow", "Right knee"]
    with qtbot.waitSignal(bar.add_wanted) as added:
        bar._add.click()
    assert added.args == [Quantity("angle", "left_elbow")]


def test_people_are_chosen_one_by_one_in_the_menu(qtbot: QtBot):
    bar = PlotsBar()
    qtbot.addWidget(bar)
    bar.set_people([(1, "Anna", QColor("red")), (2, "Ben", QColor("blue"))])
    bar._fill_menu()
    everybody, _, anna, _ben = bar._menu.actions()
    with qtbot.waitSignal(bar.people_changed):
        anna.trigger()
    assert bar.chosen == {1} and bar._who.text() == "Anna"
    bar._fill_menu()
    bar._menu.actions()[3].trigger()
    assert bar.chosen == {1, 2} and bar._who.text() == "2 people"
    bar._fill_menu()
    everybody = bar._menu.actions()[0]
    everybody.trigger()
    assert bar.chosen is None and bar._who.text() == "Everybody"


def test_the_axis_follows_the_values_calmly(panel: PlotsPanel):
    card = panel._cards[1]
    card._set_value_range(100, 200)
    first = card.view_box.viewRange()[1]
    card._set_value_range(110, 190)
    assert card.view_box.viewRange()[1] == first
    card._set_value_range(100, 300)
    assert card.view_box.viewRange()[1][1] > 300
    card._set_value_range(100, 101)
    low, high = card.view_box.viewRange()[1]
    assert high - low >= plots_view.MIN_SPANS["y"]


def test_colours_follow_the_theme(panel: PlotsPanel):
    panel.redraw()
    light, dark = make_palette("light"), make_palette("dark")
    for palette in (light, dark):
        panel.setPalette(palette)
        card = panel._cards[0]
        assert card._plot.backgroundBrush().color() == palette.base().color()
        drawn = card._curves[2, False].opts["pen"].color()
        assert drawn == line_colour(2, palette, "colour-blind")
    yellow = 4
    assert line_colour(yellow, light, "colour-blind").lightnessF() < 0.5
    panel.changeEvent(QEvent(QEvent.Type.StyleChange))


def test_every_control_has_a_tooltip_and_a_name(panel: PlotsPanel):
    bar = panel._bar
    for control in (bar._kind, bar._name, bar._add, bar._who, bar._span, bar._raw, bar._pause, bar._export):
        assert control.toolTip() and control.accessibleName()
        assert control.focusPolicy() & Qt.FocusPolicy.TabFocus
    assert panel.minimumSizeHint().width() <= 280
