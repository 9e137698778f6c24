"""The window's last line: what is going on, in a few words and numbers."""

import math

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import QLabel, QSizePolicy, QStatusBar

from app.desktop.choice_words import value_text
from app.desktop.figures import people_text
from app.desktop.record_parts import ElidedLabel
from engine.live_values import LiveNumbers, SessionStatus
from engine.sources.address import mask_address


class StatusLine:
    """Fills a status bar: state on the left, numbers on the right."""

    def __init__(self, bar: QStatusBar) -> None:
        self._state, self._numbers = ElidedLabel(), QLabel()
        # A long message takes what room there is and never makes the window wider.
        self._state.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        bar.addWidget(self._state, 1)
        bar.addPermanentWidget(self._numbers)
        self._numbers.setToolTip(
            QCoreApplication.translate(
                "StatusLine",
                "People, frames shown per second, time from capture to screen, and what computes",
            )
        )

    @property
    def text(self) -> str:
        """Both sides."""
        return f"{self._state.words} | {self._numbers.text()}"

    def show_numbers(self, status: SessionStatus, numbers: LiveNumbers) -> None:
        """Show what holds now."""
        self._state.set_words(mask_address(_state_text(status)))
        parts = []
        if status.info is not None and not math.isnan(numbers.latency_p50_ms):
            rate = QCoreApplication.translate("StatusLine", "{:.0f} fps").format(numbers.display_rate)
            delay = QCoreApplication.translate("StatusLine", "{:.0f} ms").format(numbers.latency_p50_ms)
            parts = [people_text(numbers.people), rate, delay]
        if numbers.runtime:
            parts.append(f"{value_text(numbers.runtime)} {value_text(numbers.precision)}")
            parts.append(numbers.device)
        self._numbers.setText("  ·  ".join(parts))


def _state_text(status: SessionStatus) -> str:
    texts = {
        "empty": QCoreApplication.translate("StatusLine", "Choose a source"),
        "playing": QCoreApplication.translate("StatusLine", "Following people")
        if status.ready
        else QCoreApplication.translate("StatusLine", "Loading the models"),
        "paused": QCoreApplication.translate("StatusLine", "Paused"),
        "ended": QCoreApplication.translate("StatusLine", "At the end"),
    }
    text = texts.get(status.state, status.message)
    if status.loading and status.ready:
        text += QCoreApplication.translate("StatusLine", " – loading {}").format(status.loading)
    return text
