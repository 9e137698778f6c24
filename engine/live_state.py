"""What a live session was asked for, and the state it is in: whoever asks last is right."""

import threading
from dataclasses import dataclass

from engine.live_values import SessionState, SourceRequest


@dataclass(frozen=True, slots=True)
class Move:
    """Where to go in the source: to a time, or so many frames on; one of them, or neither."""

    seek_s: float | None = None
    steps: int = 0


class LiveState:
    """State and wishes of one session, safe from any number of threads.

    changed: guards all of it, and is notified when the session's thread has something to do.
    """

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.state: SessionState = "empty"
        self.message = ""
        self.request: SourceRequest | None = None
        self.playing = True
        self.opening = False
        self.shown = False
        self.position_s = 0.0
        self._waits = False
        self._seek_s: float | None = None
        self._steps = 0
        self._stirred = False

    # --- what is asked for -------------------------------------------------------------------------------

    def open(self, request: SourceRequest, *, paused: bool) -> None:
        """Open a source; `paused` shows nothing of it before `play`."""
        with self.changed:
            self.request, self.state, self.opening = request, "opening", True
            self.message = f"Opening {request.label}"
            self.playing, self._waits = not paused, paused
            self._seek_s, self._steps = None, 0

    def close(self) -> None:
        """Have no source."""
        with self.changed:
            self.request, self.state, self.message = None, "empty", ""
            self.opening = False

    def play(self) -> bool:
        """Let frames follow; return whether they did not before."""
        with self.changed:
            if self.state == "ended":
                self._seek_s = 0.0
            self.playing = True
            still = self.state in ("paused", "ended")
            if still:
                self.state = "playing"
            return still

    def pause(self) -> None:
        """Stay at the frame shown."""
        with self.changed:
            self.playing = False
            if self.state in ("playing", "reconnecting", "ended"):
                self.state, self.message = "paused", ""

    def step(self, count: int) -> None:
        """Stay, and go so many frames on."""
        with self.changed:
            self.pause()
            self._steps += count

    def seek(self, time_s: float) -> None:
        """Go to a time of a file."""
        with self.changed:
            if self.state == "ended":
                self.state = "paused"
            self._seek_s, self._steps = max(0.0, time_s), 0

    def show_anew(self) -> None:
        """Work on a still picture again, unless another is asked for."""
        with self.changed:
            still = self.state in ("paused", "ended")
            if still and self.shown and self._seek_s is None and not self._steps:
                self._seek_s = self.position_s

    def stir(self) -> None:
        """Let the session's thread look at what was asked."""
        with self.changed:
            self._stirred = True
            self.changed.notify_all()

    # --- what the session's thread does with it ----------------------------------------------------------

    @property
    def stirred(self) -> bool:
        """Whether there is something that the session's thread has not looked at."""
        return self._stirred

    def calm(self) -> None:
        """Note that the session's thread looks at everything now."""
        self._stirred = False

    @property
    def moves(self) -> bool:
        """Whether frames follow by themselves."""
        return self.playing and self.state in ("playing", "reconnecting")

    @property
    def sought(self) -> bool:
        """Whether another place is asked for."""
        return self._seek_s is not None

    def take_move(self) -> Move:
        """Return where to go now; after a place that was sought, steps come next time."""
        with self.changed:
            seek_s, self._seek_s = self._seek_s, None
            if seek_s is not None:
                self._stirred |= self._steps != 0
                return Move(seek_s)
            steps, self._steps = self._steps, 0
            return Move(steps=steps)

    def arrive(self, request: SourceRequest) -> bool:
        """Note that opening a source came to an end; return whether it is still wanted."""
        with self.changed:
            wanted = request is self.request
            self.opening &= not wanted
            return wanted

    def begin(self) -> bool:
        """Be at the beginning of a source that was opened; return whether that changes the state."""
        with self.changed:
            self.position_s = 0.0
            if not (self.playing or self._waits or self._steps or self.sought):
                # Paused before it was there: its first frame is what is stayed at.
                self._steps = 1
            return self.change("playing")

    def show(self, position_s: float) -> None:
        """Note the frame that is shown."""
        with self.changed:
            self.position_s, self.shown = position_s, True

    def change(self, state: SessionState, message: str = "") -> bool:
        """Be in another state, unless something else was asked for meanwhile; return whether it is."""
        with self.changed:
            # While another source is being opened, the one in hand has no say any more.
            if self.opening or (self.request is None and state != "failed"):
                return False
            if state == "ended":
                if self.sought or self._steps:
                    return False
                self.playing = False
            elif state != "failed" and not self.playing:
                state, message = "paused", ""
            before = self.state, self.message
            self.state, self.message = state, message
            return before != (state, message)
