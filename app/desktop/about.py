"""Versions, licences, keys and diagnostics: what somebody reads, or copies into a report."""

import platform
from html import escape
from importlib.metadata import metadata

from PySide6.QtCore import QCoreApplication, QSize, Qt, qVersion
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.desktop.figures import scaled
from app.desktop.icons import icon
from engine import __version__
from engine.live_values import LiveNumbers, SessionStatus
from engine.packages import installed_versions

PACKAGES = ("PySide6-Essentials", "openvino", "onnxruntime", "opencv-python", "av", "numpy", "pyqtgraph")
_ICON_PX = 80


def package_versions() -> dict[str, str]:
    """Return what is installed of the packages that matter to the window."""
    return installed_versions(PACKAGES)


def package_licence(package: str) -> str:
    """Return the licence that an installed package states, "" where it states none in a line."""
    stated = metadata(package)
    classes = [line for line in stated.get_all("Classifier", []) if line.startswith("License ::")]
    fields = [stated[name] for name in ("License-Expression", "License") if name in stated]
    for text in (*fields, *classes):
        if text and "\n" not in text.strip():
            return text.rsplit(" :: ", 1)[-1].strip()
    return ""


def diagnostics(status: SessionStatus, numbers: LiveNumbers) -> str:
    """Return versions, machine, state and settings as text; addresses of sources are left out."""
    lines = [
        f"SteadyPose {__version__}",
        f"Python {platform.python_version()}, Qt {qVersion()}, platform {QGuiApplication.platformName()}",
        f"{platform.platform()}, {platform.machine()}",
        *(f"{name} {installed}" for name, installed in package_versions().items()),
    ]
    screen = QGuiApplication.primaryScreen()
    if screen is not None:
        size = screen.size()
        lines.append(f"screen {size.width()}×{size.height()} at {screen.devicePixelRatio():g}×")
    lines.append(f"state {status.state}{': ' + status.message if status.state == 'failed' else ''}")
    if status.info is not None:
        height, width = status.info.size
        kind = "live" if status.info.live else "file"
        lines.append(f"source {kind}, {width}×{height}, {status.info.fps or 0:g} frames/s")
    lines += [
        f"models {', '.join(numbers.models)} on {numbers.runtime} {numbers.precision}, {numbers.device}",
        f"rates {numbers.capture_rate:.1f} captured, {numbers.inference_rate:.1f} tracked, "
        f"{numbers.display_rate:.1f} shown per second",
        f"latency {numbers.latency_p50_ms:.0f} ms median, {numbers.latency_p95_ms:.0f} ms for 95 %",
        f"stages {', '.join(f'{name} {ms:.1f} ms' for name, ms in numbers.stages_ms.items())}",
        f"lost {', '.join(f'{cause} {count}' for cause, count in numbers.dropped.items()) or 'nothing'}",
        f"settings {status.settings.model_dump_json(exclude_defaults=True)}",
    ]
    return "\n".join(lines)


def copy_diagnostics(status: SessionStatus, numbers: LiveNumbers) -> None:
    """Put the diagnostics on the clipboard."""
    QGuiApplication.clipboard().setText(diagnostics(status, numbers))


def about_dialog(parent: QWidget, copy: QAction) -> QDialog:
    """Return the dialog with versions and licences; open it with `open`.

    Args:
        parent: the window. copy: copies the diagnostics.
    """
    dialog = QDialog(parent)
    dialog.setWindowTitle(QCoreApplication.translate("About", "About SteadyPose"))
    picture = QLabel()
    picture.setPixmap(icon("steadypose").pixmap(QSize(_ICON_PX, _ICON_PX), dialog.devicePixelRatioF()))
    picture.setAlignment(Qt.AlignmentFlag.AlignTop)
    words = QVBoxLayout()
    words.setSpacing(8)
    title = _text(f"SteadyPose {__version__}")
    title.setFont(scaled(title.font(), 1.6))
    words.addWidget(title)
    words.addWidget(
        _text(QCoreApplication.translate("About", "Follows people through live pictures and videos."))
    )
    words.addWidget(
        _text(
            QCoreApplication.translate(
                "About", "Everything is computed on this computer; no picture leaves it."
            )
        )
    )
    words.addSpacing(8)
    words.addLayout(_package_grid())
    words.addSpacing(8)
    words.addWidget(
        _text(
            QCoreApplication.translate(
                "About",
                "SteadyPose is free software under the Apache License 2.0. Qt and PySide6 are used unchanged "
                "under the LGPL 3. Models have licences of their own, which the list of models shows.",
            )
        )
    )
    row = QHBoxLayout()
    row.setSpacing(24)
    row.addWidget(picture)
    row.addLayout(words, 1)
    button = QPushButton(copy.icon(), copy.text())
    button.setToolTip(copy.toolTip())
    button.clicked.connect(copy.trigger)
    button.setAutoDefault(False)
    close = close_box(dialog)
    close.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
    column = QVBoxLayout(dialog)
    column.setContentsMargins(16, 16, 16, 16)
    column.setSpacing(16)
    column.addLayout(row)
    column.addStretch(1)
    column.addWidget(close)
    dialog.setMinimumWidth(520)
    dialog.finished.connect(dialog.deleteLater)
    return dialog


def close_box(dialog: QDialog) -> QDialogButtonBox:
    """Return the row of buttons of a dialog that is only read, with the one that closes it."""
    box = QDialogButtonBox()
    close = QPushButton(QCoreApplication.translate("About", "Cl&ose"))
    close.setToolTip(QCoreApplication.translate("About", "Close this window (Esc)"))
    close.setDefault(True)
    box.addButton(close, QDialogButtonBox.ButtonRole.RejectRole)
    box.rejected.connect(dialog.reject)
    return box


def _package_grid() -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(24)
    grid.setVerticalSpacing(4)
    heads = (
        QCoreApplication.translate("About", "Made with"),
        QCoreApplication.translate("About", "Version"),
        QCoreApplication.translate("About", "Licence"),
    )
    rows = [("Python", platform.python_version(), "PSF-2.0")]
    rows += [(name, installed, package_licence(name)) for name, installed in package_versions().items()]
    for column, head in enumerate(heads):
        grid.addWidget(_text(f"<b>{escape(head)}</b>"), 0, column, Qt.AlignmentFlag.AlignTop)
    for line, cells in enumerate(rows, start=1):
        for column, cell in enumerate(cells):
            grid.addWidget(_text(cell), line, column, Qt.AlignmentFlag.AlignTop)
    grid.setColumnStretch(2, 1)
    return grid


def _text(text: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(" " in text)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
