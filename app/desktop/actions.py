"""Everything the window can be told to do, with its words, key and icon, once: menus and bars share them."""

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QWidget

from app.desktop.icons import icon
from app.desktop.translatable import QT_TRANSLATE_NOOP


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One action: `text` with its mnemonic, keys, what it does in a sentence, icon; `on`: its first state if
    it is a switch; `short`: its text in the tool bar, else `text`."""

    text: str
    keys: tuple[str, ...] = ()
    tip: str = ""
    icon: str = ""
    on: bool | None = None
    short: str = ""


ACTIONS: dict[str, ActionSpec] = {
    "open_camera": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Open &camera…"),
        ("Ctrl+K",),
        QT_TRANSLATE_NOOP("Actions", "Choose a camera"),
        "camera",
        short=QT_TRANSLATE_NOOP("Actions", "Camera"),
    ),
    "open_file": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Open video…"),
        ("Ctrl+O",),
        QT_TRANSLATE_NOOP("Actions", "Open a video file"),
        "file",
        short=QT_TRANSLATE_NOOP("Actions", "Video"),
    ),
    "open_folder": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Open image &folder…"),
        ("Ctrl+Shift+O",),
        QT_TRANSLATE_NOOP("Actions", "Open a folder of images"),
        "folder",
    ),
    "open_stream": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Open &network stream…"),
        ("Ctrl+U",),
        QT_TRANSLATE_NOOP("Actions", "Open an RTSP or HTTP address"),
        "stream",
        short=QT_TRANSLATE_NOOP("Actions", "Stream"),
    ),
    "open_demo": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Open &demo"),
        ("Ctrl+D",),
        QT_TRANSLATE_NOOP("Actions", "Play the bundled clip"),
        "demo",
        short=QT_TRANSLATE_NOOP("Actions", "Demo"),
    ),
    "close_source": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "C&lose source"),
        ("Ctrl+W",),
        QT_TRANSLATE_NOOP("Actions", "Close the source and choose another"),
        "close",
    ),
    "snapshot": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Save snapshot"),
        ("S",),
        QT_TRANSLATE_NOOP("Actions", "Save the picture with what is drawn on it"),
        "snapshot",
    ),
    "quit": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Quit"),
        ("Ctrl+Q",),
        QT_TRANSLATE_NOOP("Actions", "End the program"),
    ),
    "play": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Play or pause"),
        ("Space",),
        QT_TRANSLATE_NOOP("Actions", "Play, or stay at this frame"),
        "play",
    ),
    "step_back": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Step &back"),
        ("Left",),
        QT_TRANSLATE_NOOP("Actions", "Go one frame back"),
        "step-back",
    ),
    "step_on": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Step &forward"),
        ("Right",),
        QT_TRANSLATE_NOOP("Actions", "Go one frame on"),
        "step-forward",
    ),
    "skip_back": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "5 seconds bac&k"),
        ("Shift+Left",),
        QT_TRANSLATE_NOOP("Actions", "Go five seconds back"),
    ),
    "skip_on": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "5 seconds fo&rward"),
        ("Shift+Right",),
        QT_TRANSLATE_NOOP("Actions", "Go five seconds on"),
    ),
    "to_start": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "To the &start"),
        ("Home",),
        QT_TRANSLATE_NOOP("Actions", "Go to the first frame"),
    ),
    "faster": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "F&aster"),
        ("]",),
        QT_TRANSLATE_NOOP("Actions", "Play faster"),
    ),
    "slower": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "S&lower"),
        ("[",),
        QT_TRANSLATE_NOOP("Actions", "Play slower"),
    ),
    "loop": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "L&oop"),
        ("L",),
        QT_TRANSLATE_NOOP("Actions", "Begin again at the end"),
        "loop",
        on=False,
    ),
    "record": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Record or stop"),
        ("R",),
        QT_TRANSLATE_NOOP("Actions", "Begin a take, or end it"),
        "record",
    ),
    "mark": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Set &marker"),
        ("M",),
        QT_TRANSLATE_NOOP("Actions", "Mark this moment in the take"),
        "marker",
    ),
    "record_folder": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Change &folder…"),
        (),
        QT_TRANSLATE_NOOP("Actions", "Choose where takes are written"),
        "folder",
    ),
    "open_record_folder": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Show folder"),
        (),
        QT_TRANSLATE_NOOP("Actions", "Open the folder with the takes"),
        "open",
    ),
    "limbs": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Skeleton"),
        ("1",),
        QT_TRANSLATE_NOOP("Actions", "Draw limbs"),
        "skeleton",
        on=True,
    ),
    "keypoints": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Keypoints"),
        ("2",),
        QT_TRANSLATE_NOOP("Actions", "Draw keypoints, predicted ones hollow"),
        "keypoints",
        on=True,
    ),
    "boxes": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Boxes"),
        ("3",),
        QT_TRANSLATE_NOOP("Actions", "Draw each person's box"),
        "boxes",
        on=False,
    ),
    "ids": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Numbers and names"),
        ("4",),
        QT_TRANSLATE_NOOP("Actions", "Write each person's number or name"),
        "ids",
        on=True,
    ),
    "trails": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Trails"),
        ("5",),
        QT_TRANSLATE_NOOP("Actions", "Draw where people came from"),
        "trails",
        on=False,
    ),
    "angles": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Joint &angles"),
        ("6",),
        QT_TRANSLATE_NOOP("Actions", "Write joint angles in degrees"),
        "angles",
        on=False,
    ),
    "raw": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Raw keypoints"),
        ("7",),
        QT_TRANSLATE_NOOP("Actions", "Draw keypoints before smoothing as well"),
        "raw",
        on=False,
    ),
    "heatmap": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Heatmap"),
        ("8",),
        QT_TRANSLATE_NOOP("Actions", "Colour where the network sees keypoints"),
        "heatmap",
        on=False,
    ),
    "mirrored": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Mirror the view"),
        ("I",),
        QT_TRANSLATE_NOOP("Actions", "Show the picture as in a mirror"),
        "mirror",
        on=False,
    ),
    "region": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Region of &interest"),
        ("G",),
        QT_TRANSLATE_NOOP("Actions", "Follow only people in a box"),
        "region",
        on=False,
    ),
    "clear_region": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Clear re&gion"),
        ("Shift+G",),
        QT_TRANSLATE_NOOP("Actions", "Follow people in the whole picture again"),
    ),
    "unfollow": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Follow n&obody"),
        ("Shift+F",),
        QT_TRANSLATE_NOOP("Actions", "Let go of the person who is followed"),
    ),
    "zoom_in": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Zoom in"),
        ("+", "="),
        QT_TRANSLATE_NOOP("Actions", "Larger"),
        "zoom-in",
    ),
    "zoom_out": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Zoom o&ut"),
        ("-",),
        QT_TRANSLATE_NOOP("Actions", "Smaller"),
        "zoom-out",
    ),
    "fit": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Fit"),
        ("0",),
        QT_TRANSLATE_NOOP("Actions", "Show the whole picture"),
        "fit",
    ),
    "fullscreen": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "Fu&ll screen"),
        ("F11",),
        QT_TRANSLATE_NOOP("Actions", "Use the whole screen"),
        "fullscreen",
        on=False,
    ),
    "diagnostics": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Copy diagnostics"),
        (),
        QT_TRANSLATE_NOOP("Actions", "Copy versions, machine and state as text"),
        "copy",
    ),
    "about": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&About SteadyPose"),
        (),
        QT_TRANSLATE_NOOP("Actions", "Versions and licences"),
        "info",
    ),
    "shortcuts": ActionSpec(
        QT_TRANSLATE_NOOP("Actions", "&Keyboard shortcuts"),
        ("F1",),
        QT_TRANSLATE_NOOP("Actions", "List all keys"),
        "info",
    ),
}
"""Name to action; the texts are translated when the actions are made."""


def make_actions(window: QWidget) -> dict[str, QAction]:
    """Return the actions, added to `window` so that their keys work wherever the focus is."""
    actions = {}
    for name, spec in ACTIONS.items():
        action = QAction(translate(spec.text), window)
        action.setObjectName(name)
        keys = [QKeySequence.fromString(key, QKeySequence.SequenceFormat.PortableText) for key in spec.keys]
        action.setShortcuts(keys)
        shown = f" ({keys[0].toString(QKeySequence.SequenceFormat.NativeText)})" if keys else ""
        action.setToolTip(translate(spec.tip) + shown)
        action.setStatusTip(translate(spec.tip))
        if spec.icon:
            action.setIcon(icon(spec.icon))
        if spec.short:
            action.setIconText(translate(spec.short))
        if spec.on is not None:
            action.setCheckable(True)
            action.setChecked(spec.on)
            action.setIconVisibleInMenu(False)  # there it would stand in the place of the check mark
        window.addAction(action)
        actions[name] = action
    return actions


def translate(text: str) -> str:
    """Return an action's text in the user's language."""
    return QCoreApplication.translate("Actions", text)
