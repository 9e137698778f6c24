"""The bar over the controls that chooses, saves and deletes presets."""

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.desktop.icon_button import FocusButton
from app.desktop.icons import icon
from app.desktop.presets import BUILT_IN, MAX_NAME, Preset, matching, name_problem, shown_name
from engine.settings import TrackSettings

BUTTON_PX = 28


class _NameEdit(QLineEdit):
    """A line that Escape leaves."""

    left = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Say that Escape was pressed."""
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)


class PresetBar(QWidget):
    """Choose a preset, save the present settings as one, delete one's own; asks in place, never in a box."""

    preset_chosen = Signal(str)
    """A preset's name, as in `Preset.name`."""
    save_wanted = Signal(str)
    delete_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._own: tuple[Preset, ...] = ()
        self._settings = TrackSettings()
        self._preferred = ""
        self._pages = QStackedWidget()
        self._pages.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._pages)
        self._problem = QLabel()
        self._problem.setWordWrap(True)
        self._problem.hide()
        layout.addWidget(self._problem)
        self._pages.addWidget(self._make_choice_page())
        self._pages.addWidget(self._make_name_page())
        self._pages.addWidget(self._make_question_page())
        self._show()

    def set_presets(self, own: Sequence[Preset]) -> None:
        """Offer the user's presets below those of the program."""
        self._own = tuple(own)
        self._show()

    def show_settings(self, settings: TrackSettings) -> None:
        """Name the preset that these settings are, if any."""
        self._settings = settings
        self._show()

    def presets(self) -> tuple[Preset, ...]:
        """Return all that is offered."""
        return (*BUILT_IN, *self._own)

    def preset_named(self, name: str) -> Preset | None:
        """Return an offered preset by name."""
        return next((preset for preset in self.presets() if preset.name == name), None)

    def _make_choice_page(self) -> QWidget:
        self._combo = QComboBox()
        self._combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._combo.setToolTip(self.tr("Preset: named settings; choosing one can be undone"))
        self._combo.setAccessibleName(self.tr("Preset"))
        self._combo.activated.connect(self._on_activated)
        save = self._tool("add", self.tr("Save these settings as a preset"))
        save.clicked.connect(self._ask_name)
        self._delete = self._tool("remove", self.tr("Delete this preset"))
        self._delete.clicked.connect(self._ask_delete)
        return _row(self._combo, save, self._delete)

    def _make_name_page(self) -> QWidget:
        self._name = _NameEdit()
        self._name.setMaxLength(MAX_NAME)
        self._name.setPlaceholderText(self.tr("Name of the preset"))
        self._name.setAccessibleName(self.tr("Name of the preset"))
        self._name.setToolTip(self.tr("Enter saves, Escape leaves; a name you have used is replaced"))
        self._name.returnPressed.connect(self._on_named)
        self._name.left.connect(self._show_choice)
        self._name.textChanged.connect(lambda: self._say(""))
        save = self._tool("check", self.tr("Save the preset"))
        save.clicked.connect(self._on_named)
        leave = self._tool("cancel", self.tr("Save nothing"))
        leave.clicked.connect(self._show_choice)
        return _row(self._name, save, leave)

    def _make_question_page(self) -> QWidget:
        self._question = QLabel()
        self._question.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._delete_now = self._tool("check", self.tr("Yes, delete the preset for good"))
        self._delete_now.clicked.connect(self._on_delete)
        keep = self._tool("cancel", self.tr("No, keep the preset"))
        keep.clicked.connect(self._show_choice)
        return _row(self._question, self._delete_now, keep)

    def _tool(self, name: str, tip: str) -> QToolButton:
        button = FocusButton()
        button.setAutoRaise(False)
        button.setIcon(icon(name))
        button.setFixedSize(BUTTON_PX, BUTTON_PX)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        return button

    def _show(self) -> None:
        current = matching(self.presets(), self._settings, self._preferred)
        self._combo.clear()
        for preset in self.presets():
            self._combo.addItem(shown_name(preset), preset.name)
            tip = QCoreApplication.translate("Presets", preset.tip) if preset.tip else shown_name(preset)
            self._combo.setItemData(self._combo.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        if self._own:
            self._combo.insertSeparator(len(BUILT_IN))
        self._combo.setPlaceholderText(self.tr("Own settings"))
        self._combo.setCurrentIndex(self._combo.findData(current.name) if current else -1)
        self._delete.setEnabled(current is not None and not current.built_in)

    def _show_choice(self) -> None:
        self._say("")
        self._pages.setCurrentIndex(0)
        self._combo.setFocus()

    def _ask_name(self) -> None:
        current = matching(self._own, self._settings, self._preferred)
        self._name.setText(current.name if current else "")
        self._name.selectAll()
        self._pages.setCurrentIndex(1)
        self._name.setFocus()

    def _ask_delete(self) -> None:
        name = str(self._combo.currentData())
        self._question.setText(self.tr("Delete “{name}”?").format(name=name))
        self._pages.setCurrentIndex(2)
        self._delete_now.setFocus()

    def _on_activated(self, place: int) -> None:
        self._preferred = name = str(self._combo.itemData(place))
        self._show()  # what is shown is what the settings are, which whoever listens changes
        self.preset_chosen.emit(name)

    def _on_named(self) -> None:
        name = self._name.text().strip()
        if problem := name_problem(name):
            self._say(problem)
            return
        self._preferred = name
        self._show_choice()
        self.save_wanted.emit(name)

    def _on_delete(self) -> None:
        name = str(self._combo.currentData())
        self._show_choice()
        self.delete_wanted.emit(name)

    def _say(self, problem: str) -> None:
        self._problem.setText(problem)
        self._problem.setVisible(bool(problem))


def _row(first: QWidget, *buttons: QWidget) -> QWidget:
    page = QWidget()
    layout = QHBoxLayout(page)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(8)
    layout.addWidget(first, 1)
    for button in buttons:
        layout.addWidget(button)
    return page
