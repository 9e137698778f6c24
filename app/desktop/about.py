"""Versions, keys and diagnostics: what somebody reads, or copies into a report."""

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from PySide6.QtCore import QCoreApplication, Qt, qVersion
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.desktop.icons import icon
from engine import __version__
from engine.live_values import LiveNumbers, SessionStatus

PACKAGES = ("PySide6-Essentials", "openvino", "onnxruntime", "opencv-python", "av", "numpy", "pyqtgraph")


def package_versions() -> dict[str, str]:
    """Return what is installed of the packages that matter to the window."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


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

    def tr(text: str) -> str:
        return QCoreApplication.translate("About", text)

    rows = "".join(
        f"<tr><td>{name}&nbsp;&nbsp;</td><td>{installed}</td></tr>"
        for name, installed in {
            "Python": sys.version.split()[0],
            "Qt": qVersion(),
            **package_versions(),
        }.items()
    )
    text = (
        f"<h2>SteadyPose {__version__}</h2><p>{tr('Follows people through live pictures and videos.')}</p>"
        f"<p>{tr('Everything is computed on this computer; no picture leaves it.')}</p>"
        f"<table>{rows}</table>"
        f"<p>{tr('SteadyPose: Apache License 2.0. Qt and PySide6, used unchanged: LGPL 3.')}</p>"
    )
    return _text_dialog(parent, tr("About SteadyPose"), text, copy)


def shortcuts_dialog(parent: QWidget, actions: Mapping[str, QAction]) -> QDialog:
    """Return the dialog that lists all keys."""
    native = QKeySequence.SequenceFormat.NativeText
    rows = "".join(
        f"<tr><td>{action.text().replace('&', '').rstrip('…')}&nbsp;&nbsp;&nbsp;</td>"
        f"<td><b>{' , '.join(key.toString(native) for key in action.shortcuts())}</b></td></tr>"
        for action in actions.values()
        if action.shortcuts()
    )
    title = QCoreApplication.translate("About", "Keyboard shortcuts")
    return _text_dialog(parent, title, f"<h3>{title}</h3><table cellspacing='2'>{rows}</table>", None)


def _text_dialog(parent: QWidget, title: str, text: str, copy: QAction | None) -> QDialog:
    dialog = QDialog(parent)
    dialog.setWindowTitle(title)
    label = QLabel(text)
    label.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    row = QHBoxLayout()
    if copy is not None:
        picture = QLabel()
        picture.setPixmap(icon("steadypose").pixmap(96, 96))
        picture.setAlignment(Qt.AlignmentFlag.AlignTop)
        row.addWidget(picture)
        row.addSpacing(16)
    row.addWidget(label)
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.reject)
    if copy is not None:
        button = buttons.addButton(copy.text().replace("&", ""), QDialogButtonBox.ButtonRole.ActionRole)
        button.setIcon(copy.icon())
        button.clicked.connect(copy.trigger)
    column = QVBoxLayout(dialog)
    column.setContentsMargins(16, 16, 16, 16)
    column.setSpacing(16)
    column.addLayout(row)
    column.addWidget(buttons)
    dialog.finished.connect(dialog.deleteLater)
    return dialog
