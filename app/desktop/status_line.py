"""The window's last line: what is going on, in a few words and numbers."""

import math

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QLabel, QStatusBar

from engine.live_values import LiveNumbers, SessionStatus


class StatusLine:
    """Fills a status bar: state on the left, numbers on the right."""

    def __init__(self, bar: QStatusBar) -> None:
        self._state, self._numbers = QLabel(), QLabel()
        bar.addWidget(self._state)
        bar.addPermanentWidget(self._numbers)
        self._numbers.setToolTip(
            _tr("People, frames shown per second, time from capture to screen, and what computes")
        )

    @property
    def text(self) -> str:
        """Both sides."""
        return f"{self._state.text()} | {self._numbers.text()}"

    def show_numbers(self, status: SessionStatus, numbers: LiveNumbers) -> None:
        """Show what holds now."""
        self._state.setText(_state_text(status))
        parts = []
        if status.info is not None and not math.isnan(numbers.latency_p50_ms):
            people = _tr("1 person") if numbers.people == 1 else _tr("{} people").format(numbers.people)
            parts = [people, _tr("{:.0f} fps").format(numbers.display_rate)]
            parts.append(_tr("{:.0f} ms").format(numbers.latency_p50_ms))
        if numbers.runtime:
            parts.append(f"{numbers.runtime} {numbers.precision}")
            parts.append(numbers.device)
        self._numbers.setText("  ·  ".join(parts))


def _state_text(status: SessionStatus) -> str:
    texts = {
        "empty": _tr("Choose a source"),
        "playing": _tr("Following people") if status.ready else _tr("Loading the models"),
        "paused": _tr("Paused"),
        "ended": _tr("At the end"),
    }
    text = texts.get(status.state, status.message)
    if status.loading and status.ready:
        text += _tr(" – loading {}").format(status.loading)
    return text


def _tr(text: str) -> str:
    return QCoreApplication.translate("StatusLine", text)
