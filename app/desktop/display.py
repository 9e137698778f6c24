"""Looks whether a window can be opened at all, as Qt aborts the whole process where it cannot.

On Linux an X window needs a display that answers and a handful of system libraries that are in no wheel.
"""

import ctypes
import os
import sys
from pathlib import Path

from PySide6.QtCore import QLibraryInfo

from engine.errors import UsageError

_WITHOUT = "`steadypose track` and `steadypose live` work without one"
_NEED_NO_DISPLAY = ("offscreen", "minimal", "minimalegl", "vnc", "linuxfb", "eglfs")


def check_display() -> None:
    """Refuse to start Qt where it would abort the process.

    Raises:
        UsageError: Linux without an X or Wayland display, with one that does not answer, or without the
            libraries for it.
    """
    wanted = os.environ.get("QT_QPA_PLATFORM", "").split(":")[0]
    if not sys.platform.startswith("linux") or wanted in _NEED_NO_DISPLAY:
        return
    display, wayland = os.environ.get("DISPLAY"), os.environ.get("WAYLAND_DISPLAY")
    if not display and not wayland:
        raise UsageError(
            "there is no display to open a window on (DISPLAY and WAYLAND_DISPLAY are empty); " + _WITHOUT
        )
    # On Wayland Qt comes back to X by itself where it must; only what it aborts for is looked at here.
    if display and (wanted == "xcb" or not wayland):
        _load_x_plugin()
        _reach_x_display(display)


def _load_x_plugin() -> None:
    """Load what Qt speaks X with; the libraries it needs come along."""
    folder = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath)) / "platforms"
    plugin = folder / "libqxcb.so"
    if not plugin.exists():
        return
    try:
        ctypes.CDLL(str(plugin))
    except OSError as error:
        raise UsageError(
            f"a window needs a system library that is missing here ({error}); on Debian and Ubuntu install "
            "libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-xkb1 "
            f"libxkbcommon-x11-0 libegl1 libgl1, elsewhere their like; {_WITHOUT}"
        ) from error


def _reach_x_display(display: str) -> None:
    xcb = ctypes.CDLL("libxcb.so.1")
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = (ctypes.c_char_p, ctypes.c_void_p)
    xcb.xcb_connection_has_error.argtypes = (ctypes.c_void_p,)
    xcb.xcb_disconnect.argtypes = (ctypes.c_void_p,)
    connection = xcb.xcb_connect(None, None)
    failed = bool(xcb.xcb_connection_has_error(connection))
    xcb.xcb_disconnect(connection)
    if failed:
        raise UsageError(
            f"the display {display} (DISPLAY) does not answer or lets nobody in; check it and XAUTHORITY, or "
            f"start the window where there is a screen: {_WITHOUT}"
        )
