"""Everything the window can be told to do, with its words, key and icon, once: menus and bars share them."""

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from app.desktop.icons import icon


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One action: `text` with its mnemonic, keys, what it does in a sentence, icon; `on`: its first state if
    it is a switch."""

    text: str
    keys: tuple[str, ...] = ()
    tip: str = ""
    icon: str = ""
    on: bool | None = None


_CONTEXT = "Actions"

ACTIONS: dict[str, ActionSpec] = {
    "open_camera": ActionSpec("&Camera…", ("Ctrl+K",), "Choose a camera", "camera"),
    "open_file": ActionSpec("&Open video…", ("Ctrl+O",), "Open a video file", "file"),
    "open_folder": ActionSpec("Open image &folder…", ("Ctrl+Shift+O",), "Open a folder of images", "folder"),
    "open_stream": ActionSpec("Open &network stream…", ("Ctrl+U",), "Open an RTSP or HTTP address", "stream"),
    "open_demo": ActionSpec("Open &demo", ("Ctrl+D",), "Play the bundled clip", "demo"),
    "close_source": ActionSpec("&Close source", ("Ctrl+W",), "Close the source and choose another", "close"),
    "snapshot": ActionSpec("&Save snapshot", ("S",), "Save the picture with what is drawn on it", "snapshot"),
    "quit": ActionSpec("&Quit", ("Ctrl+Q",), "End the program"),
    "play": ActionSpec("&Play or pause", ("Space",), "Play, or stay at this frame", "play"),
    "step_back": ActionSpec("Step &back", ("Left",), "Go one frame back", "step-back"),
    "step_on": ActionSpec("Step &forward", ("Right",), "Go one frame on", "step-forward"),
    "skip_back": ActionSpec("5 seconds back", ("Shift+Left",), "Go five seconds back"),
    "skip_on": ActionSpec("5 seconds forward", ("Shift+Right",), "Go five seconds on"),
    "to_start": ActionSpec("To the &start", ("Home",), "Go to the first frame"),
    "faster": ActionSpec("F&aster", ("]",), "Play faster"),
    "slower": ActionSpec("S&lower", ("[",), "Play slower"),
    "loop": ActionSpec("L&oop", ("L",), "Begin again at the end", "loop", on=False),
    "record": ActionSpec("&Record or stop", ("R",), "Begin a take, or end it", "record"),
    "mark": ActionSpec("Set &marker", ("M",), "Mark this moment in the take", "marker"),
    "record_folder": ActionSpec("Change &folder…", (), "Choose where takes are written", "folder"),
    "open_record_folder": ActionSpec("&Show folder", (), "Open the folder with the takes", "open"),
    "limbs": ActionSpec("S&keleton", ("1",), "Draw limbs", "demo", on=True),
    "keypoints": ActionSpec("&Keypoints", ("2",), "Draw keypoints, predicted ones hollow", "follow", on=True),
    "boxes": ActionSpec("&Boxes", ("3",), "Draw each person's box", "boxes", on=False),
    "ids": ActionSpec("&Numbers and names", ("4",), "Write each person's number or name", "ids", on=True),
    "trails": ActionSpec("&Trails", ("5",), "Draw where people came from", "trails", on=False),
    "angles": ActionSpec("Joint &angles", ("6",), "Write joint angles in degrees", "angles", on=False),
    "raw": ActionSpec("&Raw keypoints", ("7",), "Draw keypoints before smoothing as well", "raw", on=False),
    "heatmap": ActionSpec("&Heatmap", ("8",), "Colour where the network sees keypoints", "heatmap", on=False),
    "mirrored": ActionSpec("&Mirror the view", ("I",), "Show the picture as in a mirror", "mirror", on=False),
    "region": ActionSpec("Region of &interest", ("G",), "Follow only people in a box", "region", on=False),
    "clear_region": ActionSpec("&Clear region", ("Shift+G",), "Follow people in the whole picture again"),
    "unfollow": ActionSpec("Follow &nobody", ("Shift+F",), "Let go of the person who is followed"),
    "zoom_in": ActionSpec("Zoom &in", ("+", "="), "Larger", "zoom-in"),
    "zoom_out": ActionSpec("Zoom &out", ("-",), "Smaller", "zoom-out"),
    "fit": ActionSpec("&Fit", ("0",), "Show the whole picture", "fit"),
    "fullscreen": ActionSpec("&Full screen", ("F11",), "Use the whole screen", "fullscreen", on=False),
    "diagnostics": ActionSpec("&Copy diagnostics", (), "Copy versions, machine and state as text", "copy"),
    "about": ActionSpec("&About SteadyPose", (), "Versions and licences", "info"),
    "shortcuts": ActionSpec("&Keyboard shortcuts", ("F1",), "List all keys", "info"),
}  # fmt: skip
"""Name to action; the texts are translated when the actions are made."""


def make_actions(window: QWidget) -> dict[str, QAction]:
    """Return the actions, added to `window` so that their keys work wherever the focus is."""
    actions = {}
    for name, spec in ACTIONS.items():
        action = QAction(translate(spec.text), window)
        action.setObjectName(name)
        keys = [QKeySequence(key) for key in spec.keys]
        action.setShortcuts(keys)
        shown = f" ({keys[0].toString(QKeySequence.SequenceFormat.NativeText)})" if keys else ""
        action.setToolTip(translate(spec.tip) + shown)
        action.setStatusTip(translate(spec.tip))
        if spec.icon:
            action.setIcon(icon(spec.icon))
        if spec.on is not None:
            action.setCheckable(True)
            action.setChecked(spec.on)
        window.addAction(action)
        actions[name] = action
    return actions


def translate(text: str) -> str:
    """Return an action's text in the user's language."""
    return QCoreApplication.translate(_CONTEXT, text)
