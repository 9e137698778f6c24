import sys

import pytest

from app.desktop.display import check_display
from engine.errors import UsageError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="displays by name are Linux's")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch):
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def test_no_display_at_all_is_said_with_what_works_without_one():
    with pytest.raises(UsageError, match=r"there is no display .* `steadypose track`"):
        check_display()


def test_a_display_that_does_not_answer_is_named_instead_of_aborting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DISPLAY", ":54321")
    with pytest.raises(UsageError, match=r"display :54321 .* does not answer|system library that is missing"):
        check_display()


def test_a_platform_that_needs_no_display_is_let_through(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen:enable_fonts")
    check_display()


def test_wayland_is_left_to_qt(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setenv("DISPLAY", ":54321")
    check_display()
