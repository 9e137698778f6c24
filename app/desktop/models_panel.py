"""All models: what is on this computer, what can be downloaded; downloads run one after another, behind.

The panel owns its threads: one that reads the list, and a `ModelJob` for the download that runs.
`shut_down` ends them.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from app.desktop.models_card import ModelCard
from app.model_rows import ModelRow, list_rows
from app.model_store import INSTALL_LINE, JobProgress, ModelJob, missing_for_conversion
from engine.errors import SteadyPoseError
from engine.zoo import remove_model

LOGGER = logging.getLogger(__name__)

POLL_MS = 100
SHUT_DOWN_S = 5.0
"""How long a download or a conversion may take to end with the window."""


class ModelsPanel(QWidget):
    """The list of models."""

    models_changed = Signal()
    """A model came or went: what can be chosen is another."""
    use_wanted = Signal(str, str)
    """Somebody wants to track with the model of this name and kind, "top-down" or "bottom-up"."""
    _listed = Signal()

    def __init__(
        self,
        parent: QWidget | None = None,
        *,
        make_job: Callable[[str], ModelJob] = ModelJob,
        read_rows: Callable[[], Sequence[ModelRow]] = list_rows,
    ) -> None:
        super().__init__(parent)
        self._make_job, self._read_rows = make_job, read_rows
        self._cards: dict[str, ModelCard] = {}
        self._job: ModelJob | None = None
        self._queue: list[str] = []
        self._thread: threading.Thread | None = None
        self._doomed: list[str] = []
        self._again = False
        self._found: tuple[Sequence[ModelRow], dict[str, str], list[str], str] = ((), {}, [], "")
        self._closed = False
        self._listed.connect(self._on_listed, Qt.ConnectionType.QueuedConnection)
        self._timer = QTimer(self, interval=POLL_MS)
        self._timer.timeout.connect(self._poll)
        self._lay_out()

    def refresh(self) -> None:
        """Read the list anew, in the background; call it once the panel is first shown."""
        if self._closed:
            return
        if self._thread is not None:
            self._again = True
            return
        doomed, self._doomed = self._doomed, []
        self._thread = threading.Thread(
            target=self._read_list, args=(doomed,), name="list of models", daemon=True
        )
        self._thread.start()

    def start_download(self, name: str) -> None:
        """Download a published model as soon as the ones before it are done."""
        if self._closed or name in self._queue or (self._job is not None and self._job.name == name):
            return
        self._queue.append(name)
        self._show_waiting()
        self._next()

    def cancel_download(self, name: str) -> None:
        """Stop a download or conversion, or take it out of the queue."""
        if self._job is not None and self._job.name == name:
            self._job.cancel()
            self._poll()
        elif name in self._queue:
            self._queue.remove(name)
            self._end_card(name, "")

    def reveal(self, name: str) -> None:
        """Scroll to a model, for example one that somebody asked for elsewhere."""
        card = self._cards.get(name)
        if card is not None:
            self._filter.clear()
            self._scroll.ensureWidgetVisible(card, 0, 16)

    @property
    def busy(self) -> bool:
        """Whether something is downloaded or converted."""
        return self._job is not None

    def shut_down(self) -> None:
        """End every thread; the panel does nothing any more."""
        self._closed = True
        self._queue.clear()
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()
            if not self._job.wait(SHUT_DOWN_S):
                LOGGER.warning("%s is still being stopped; it ends with the program", self._job.name)
            self._job = None
        if self._thread is not None:
            self._thread.join(SHUT_DOWN_S)
            self._thread = None

    def closeEvent(self, event: QCloseEvent) -> None:
        """End the threads where the panel is a window of its own."""
        if self.isWindow():
            self.shut_down()
        super().closeEvent(event)

    def card(self, name: str) -> ModelCard | None:
        """Return the row of a model."""
        return self._cards.get(name)

    def _lay_out(self) -> None:
        self._filter = QLineEdit()
        self._filter.setPlaceholderText(self.tr("Filter by name, kind or licence"))
        self._filter.setAccessibleName(self.tr("Filter"))
        self._filter.setToolTip(self.tr("Show only models in whose row all these words are"))
        self._filter.setClearButtonEnabled(True)
        self._filter.textChanged.connect(self._apply_filter)
        self._notice = QLabel()
        self._notice.setWordWrap(True)
        self._notice.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._notice.hide()
        self._empty = QLabel(self.tr("Looking for models…"))
        self._empty.setWordWrap(True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._heads = {
            True: _heading(self.tr("On this computer")), False: _heading(self.tr("Can be downloaded"))
        }  # fmt: skip
        self._groups = {True: QVBoxLayout(), False: QVBoxLayout()}
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(8, 0, 8, 8)
        column.setSpacing(8)
        column.addWidget(self._empty)
        for at_hand in (True, False):
            self._groups[at_hand].setSpacing(4)
            column.addWidget(self._heads[at_hand])
            column.addLayout(self._groups[at_hand])
            self._heads[at_hand].hide()
        column.addStretch(1)
        self._scroll = scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(content)
        top = QVBoxLayout()
        top.setContentsMargins(8, 8, 8, 0)
        top.setSpacing(8)
        top.addWidget(self._filter)
        top.addWidget(self._notice)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(top)
        layout.addWidget(scroll, 1)
        self.setMinimumWidth(280)

    def _read_list(self, doomed: Sequence[str]) -> None:
        rows: Sequence[ModelRow] = ()
        problems: dict[str, str] = {}
        trouble = ""
        for name in doomed:
            try:
                remove_model(name)
            except SteadyPoseError as error:
                problems[name] = str(error)
        try:
            rows = self._read_rows()
        except (SteadyPoseError, OSError) as error:
            trouble = str(error)
        except Exception as error:  # top of a thread: it reports instead of dying unheard
            LOGGER.exception("the list of models cannot be read")
            trouble = f"{type(error).__name__}: {error}"
        self._found = rows, problems, missing_for_conversion(), trouble
        self._listed.emit()

    def _on_listed(self) -> None:
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        rows, problems, missing, trouble = self._found
        before = {name for name, card in self._cards.items() if card.row.at_hand}
        self._show_rows(rows)
        for name, problem in problems.items():
            if name in self._cards:
                self._cards[name].set_message(problem)
        self._show_notice(missing, trouble)
        after = {name for name, card in self._cards.items() if card.row.at_hand}
        if before and before != after:
            self.models_changed.emit()
        if self._again or self._doomed:
            self._again = False
            self.refresh()

    def _show_rows(self, rows: Sequence[ModelRow]) -> None:
        names = {row.name for row in rows}
        for name in self._cards.keys() - names:
            self._cards.pop(name).deleteLater()
        for row in rows:
            card = self._cards.get(row.name)
            if card is None:
                self._cards[row.name] = card = self._make_card(row)
            else:
                card.set_row(row)
            group = self._groups[row.state not in ("available", "by hand")]
            group.removeWidget(card)
            group.addWidget(card)
        self._show_waiting()
        self._apply_filter()

    def _make_card(self, row: ModelRow) -> ModelCard:
        card, name = ModelCard(row), row.name
        card.download_wanted.connect(lambda: self.start_download(name))
        card.cancel_wanted.connect(lambda: self.cancel_download(name))
        card.remove_wanted.connect(lambda: self._remove(name))
        card.use_wanted.connect(lambda: self.use_wanted.emit(name, self._cards[name].row.kind))
        return card

    def _show_notice(self, missing: Sequence[str], trouble: str) -> None:
        text = trouble
        if not text and missing:
            text = self.tr(
                "Downloaded models have to be converted, which needs {packages}: run {command} in a clone of "
                "the repository first."
            ).format(packages=", ".join(missing), command=INSTALL_LINE)
        self._notice.setText(text)
        self._notice.setVisible(bool(text))

    def _apply_filter(self) -> None:
        words = self._filter.text().casefold().split()
        shown = {True: 0, False: 0}
        for card in self._cards.values():
            row = card.row
            text = f"{row.name} {row.kind} {row.licence} {row.accuracy} {row.state}".casefold()
            fits = all(word in text for word in words)
            card.setVisible(fits)
            shown[row.state not in ("available", "by hand")] += fits
        for at_hand, head in self._heads.items():
            head.setVisible(shown[at_hand] > 0)
        self._empty.setVisible(not any(shown.values()))
        if self._cards:
            self._empty.setText(self.tr("No model fits “{words}”.").format(words=self._filter.text()))

    def _remove(self, name: str) -> None:
        self._doomed.append(name)
        self.refresh()

    def _next(self) -> None:
        if self._job is not None or not self._queue:
            return
        name = self._queue.pop(0)
        self._job = self._make_job(name)
        self._job.start()
        self._timer.start()
        self._poll()

    def _show_waiting(self) -> None:
        for name in self._queue:
            if name in self._cards:
                self._cards[name].set_progress(JobProgress(0, None, "waiting"))

    def _poll(self) -> None:
        job = self._job
        if job is None:
            return
        if not job.ended:
            if job.name in self._cards:
                self._cards[job.name].set_progress(job.progress, stopping=job.stopping)
            return
        job.wait()
        self._job = None
        self._timer.stop()
        self._end_card(job.name, job.message)
        if job.progress.phase == "done":
            self.refresh()
        self._next()

    def _end_card(self, name: str, message: str) -> None:
        if name in self._cards:
            self._cards[name].set_progress(None)
            self._cards[name].set_message(message)


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    label.setContentsMargins(0, 8, 0, 0)
    return label
