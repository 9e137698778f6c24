from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.desktop.plots_control import PlotsMemory
from app.desktop.plots_data import Quantity
from app.desktop.preferences import Preferences

HEAD = Quantity("x", "head")


def open_plots(desk: Any) -> Any:
    """Open the panel and wait until it is loaded."""
    desk.window.show_dock("plots")
    desk.until(lambda: desk.window.plots.panel is not None)
    return desk.window.plots.panel


@pytest.fixture
def ended(desk: Any, clip: Path) -> Any:
    """The window with a clip that was played to its end."""
    desk.open(clip)
    desk.until_state("ended")
    return desk


def test_plots_opened_late_show_what_was_played_before(ended: Any) -> None:
    panel = open_plots(ended)
    panel.add_plot(HEAD)
    table = panel.store.read([HEAD], raw=False, since_s=0.0, until_s=1.0)
    assert table.people() == [1, 2]
    walking = table.columns[HEAD, False][table.rows_of(1)]
    assert np.nanmax(walking) - np.nanmin(walking) > 40, "the first of the pair walks"
    for live in ended.shown[-5:]:
        (person,) = [p for p in live.result.people if p.track_id == 1]
        assert np.isclose(walking, person.keypoints[0, 0], atol=0.01).any(), "as it was painted"


def test_plots_follow_while_playing_and_begin_anew_with_another_source(
    desk: Any, clip: Path, marker_folder: Path
) -> None:
    panel = open_plots(desk)
    desk.open(clip)
    desk.until(lambda: panel.store.newest_s)
    desk.until_state("ended")
    assert panel.store.newest_s == pytest.approx(23 / 30)
    desk.window.sources.open_text(str(marker_folder))
    desk.until(lambda: desk.is_in_hand(str(marker_folder)) and desk.painted)
    assert panel.store.newest_s < 23 / 30


def test_names_and_colours_reach_the_plots(ended: Any) -> None:
    ended.window.people.renamed.emit(1, "Ada")
    ended.window.view.set_palette("vivid")
    panel = open_plots(ended)
    assert panel._names == {1: "Ada"}
    assert panel._palette == "vivid"
    ended.window.people.renamed.emit(1, "Grace")
    ended.window.view.set_palette("high-contrast")
    assert panel._names == {1: "Grace"}
    assert panel._palette == "high-contrast"


def test_which_plots_there_are_is_remembered(make_desk: Any, preferences: Preferences, clip: Path) -> None:
    desk = make_desk()
    desk.open(clip)
    panel = open_plots(desk)
    panel.set_plots([HEAD])
    panel.set_view(5.0, raw=True)
    desk.until(lambda: preferences.get("plots", PlotsMemory, PlotsMemory()).raw)
    desk.window.close()
    again = make_desk(Preferences(preferences.folder / "settings.ini"))
    again.open(clip)
    panel = open_plots(again)
    again.until(lambda: panel.quantities == (HEAD,))
    assert panel.span_s == 5.0
    assert panel.raw


def test_a_remembered_plot_that_is_not_understood_is_left_out(
    make_desk: Any, preferences: Preferences, caplog: pytest.LogCaptureFixture
) -> None:
    preferences.set("plots", PlotsMemory(("nonsense", str(HEAD))))
    desk = make_desk()
    assert open_plots(desk).quantities == (HEAD,)
    assert "left out" in caplog.text


def test_closing_while_the_plots_are_loaded_is_no_harm(desk: Any) -> None:
    desk.window.show_dock("plots")
    desk.window.close()
    assert desk.window.plots.panel is None
