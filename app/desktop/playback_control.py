"""Connects the session with the stage, the transport bar and the playback actions."""

import math
from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction

from app.desktop.live_page import LivePage
from app.desktop.session import Session
from app.desktop.theme import Role
from app.desktop.transport import SPEEDS
from engine.live_values import LiveResult, Notice, SourceRequest
from engine.sources.address import SCHEMES, mask_address, scheme_of

SKIP_S = 5.0
NOTHING_SHOWN = ("empty", "opening", "failed")
"""States in which no picture is shown."""
NOTICE_S = 8.0
NEVER_VIDEO = frozenset(
    (".csv", ".doc", ".docx", ".flac", ".htm", ".html", ".json", ".md", ".mp3", ".npy", ".npz", ".onnx",
     ".pdf", ".pth", ".py", ".safetensors", ".txt", ".wav", ".xlsx", ".xml", ".yaml", ".yml", ".zip")
)  # fmt: skip
"""Suffixes of files that are neither video nor picture, however often they are tried."""
ROLES: dict[str, Role] = {"info": "accent", "good": "good", "warning": "warning", "bad": "bad"}


class PlaybackControl(QObject):
    """Shows what the session does and passes on what somebody wants of it."""

    def __init__(
        self, session: Session, page: LivePage, actions: Mapping[str, QAction], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._session, self._page, self._actions = session, page, actions
        self._request: SourceRequest | None = None
        transport = page.transport
        transport.play_toggled.connect(self.toggle_play)
        transport.stepped.connect(session.live.step)
        transport.sought.connect(session.live.seek)
        transport.speed_changed.connect(session.live.set_speed)
        transport.loop_changed.connect(actions["loop"].setChecked)
        page.loading.cancel_wanted.connect(session.live.close_source)
        page.error.choose_wanted.connect(session.live.close_source)
        page.error.retry_wanted.connect(self._retry)
        page.view.painted.connect(self._note_painted)
        actions["play"].triggered.connect(self.toggle_play)
        actions["step_back"].triggered.connect(lambda: session.live.step(-1))
        actions["step_on"].triggered.connect(lambda: session.live.step(1))
        actions["skip_back"].triggered.connect(lambda: self._skip(-SKIP_S))
        actions["skip_on"].triggered.connect(lambda: self._skip(SKIP_S))
        actions["to_start"].triggered.connect(lambda: session.live.seek(0.0))
        actions["faster"].triggered.connect(lambda: self._change_speed(1))
        actions["slower"].triggered.connect(lambda: self._change_speed(-1))
        actions["loop"].toggled.connect(self._set_loop)
        session.status_changed.connect(self.show_status)
        session.result_followed.connect(self._follow)
        session.result_shown.connect(self._show_result)
        session.noticed.connect(self._show_notice)
        self.show_status()

    def toggle_play(self) -> None:
        """Play, or stay at the frame shown."""
        if self._session.status.playing:
            self._session.live.pause()
        else:
            self._session.live.play()

    def show_status(self) -> None:
        """Bring the page and the bars into the state of the session."""
        status, page = self._session.status, self._page
        if status.request != self._request:
            self._request = status.request
            page.view.clear()
            page.transport.timeline.reset()
        shown = page.view.painted_result is not None or page.stack.currentWidget() is page.view
        if status.state == "empty":
            page.view.clear()
            page.show_page(page.welcome)
        elif status.state == "failed":
            page.view.clear()
            again = retry_may_help(status.request)
            advice = self.tr("Try again, or choose another source.")
            page.error.show_error(
                mask_address(status.message),
                advice if again else self.tr("Choose another source."),
                can_retry=again,
            )
            page.show_page(page.error)
        elif status.state == "opening":
            page.view.clear()
            page.transport.timeline.reset()
            page.loading.show_loading(mask_address(status.message))
            page.show_page(page.loading)
        elif not shown:
            text = self.tr("Waiting for the first picture") if status.ready else self.tr("Loading the models")
            page.loading.show_loading(text, status.loading or "")
            page.show_page(page.loading)
        self._show_transport()

    def _show_transport(self) -> None:
        status, transport = self._session.status, self._page.transport
        info = status.info
        live = info is not None and info.live
        here = info is not None
        for name in ("play", "step_on"):
            self._actions[name].setEnabled(here)
        for name in ("step_back", "skip_back", "skip_on", "to_start"):
            self._actions[name].setEnabled(here and not live)
        for name in ("faster", "slower", "loop"):
            # Without a source they are for the next one.
            self._actions[name].setEnabled(not live)
        transport.set_live(live)
        transport.set_playing(status.playing)
        if info is not None and live:
            name = status.request.label if status.request is not None else self.tr("Live")
            height, width = info.size
            texts: dict[str, tuple[str, Role]] = {
                "playing": (f"{name} · {width}×{height}", "good"),
                "paused": (self.tr("Paused"), "warning"),
                "reconnecting": (status.message or self.tr("Reconnecting"), "warning"),
            }
            text, role = texts.get(status.state, (status.message, "warning"))
            transport.set_state(mask_address(text), role)
        elif info is not None:
            transport.set_time(status.position_s, info.duration_s)

    def _follow(self, live: LiveResult) -> None:
        if self._session.status.state in NOTHING_SHOWN:
            # A source that is being left goes on until the next one is there.
            return
        self._page.transport.timeline.add_people(live.result.frame.time_s, len(live.result.people))

    def _show_result(self, live: LiveResult) -> None:
        status, skeleton = self._session.status, self._session.live.skeleton
        if skeleton is None or status.state in NOTHING_SHOWN:
            return
        self._page.view.show_result(live, skeleton)
        self._page.show_page(self._page.view)
        info = status.info
        if info is not None and not info.live and not self._page.transport.timeline.dragging:
            self._page.transport.set_time(live.result.frame.time_s, info.duration_s)

    def _show_notice(self, notice: Notice) -> None:
        timeout_s = NOTICE_S if notice.role in ("info", "good") else 2 * NOTICE_S
        text = mask_address(notice.text)
        self._page.notices.show_notice(
            text, ROLES[notice.role], timeout_s=timeout_s, key=f"{notice.key}: {text}"
        )

    def _note_painted(self) -> None:
        painted = self._page.view.painted_result
        if painted is not None:
            self._session.note_painted(painted)

    def _retry(self) -> None:
        request = self._session.status.request
        if request is not None:
            self._session.live.open(request)
        else:
            self._session.load_models()
            self._session.live.close_source()

    def _skip(self, seconds: float) -> None:
        info, timeline = self._session.status.info, self._page.transport.timeline
        if info is not None:
            # Shown at once, so that the next press goes on from there.
            wanted_s = min(max(0.0, timeline.position_s + seconds), info.duration_s or math.inf)
            self._page.transport.set_time(wanted_s, info.duration_s)
            self._session.live.seek(wanted_s)

    def _change_speed(self, steps: int) -> None:
        place = SPEEDS.index(self._page.transport.speed) + steps
        if 0 <= place < len(SPEEDS):
            self._page.transport.set_speed(SPEEDS[place])
            self._session.live.set_speed(SPEEDS[place])

    def _set_loop(self, loop: bool) -> None:
        self._page.transport.set_loop(loop)
        self._session.live.set_loop(loop)


def retry_may_help(request: SourceRequest | None) -> bool:
    """Whether the same may go better another time; a kind that is not understood stays so."""
    if request is None:
        return True
    scheme = scheme_of(str(request.spec))
    if scheme is not None:
        return scheme in SCHEMES
    return Path(request.spec).suffix.lower() not in NEVER_VIDEO
