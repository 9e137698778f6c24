"""How often something is drawn: as often as wanted, but never with more than its share of the time."""


class Pace:
    """Says when the next drawing is due; all times are seconds of one clock.

    Args:
        shortest_s: between the beginnings of two drawings.
        share: of the time, what drawing may take at most.
        longest_s: between the beginnings of two drawings, however long they take.
    """

    def __init__(self, shortest_s: float, share: float, longest_s: float) -> None:
        self._shortest_s, self._share, self._longest_s = shortest_s, share, longest_s
        self._began_s = float("-inf")
        self._spent_s = 0.0

    def begin(self, now_s: float) -> None:
        """Begin a drawing."""
        self._began_s, self._spent_s = now_s, 0.0

    def spend(self, seconds: float) -> None:
        """Count time that the drawing took; what is painted later, when the window asks, counts too."""
        self._spent_s += seconds

    def wait_s(self, now_s: float, parts: int = 1) -> float:
        """Return how long to wait for the next drawing, 0 if it is due.

        Args:
            now_s: the time now.
            parts: drawings that take turns; each comes as often as one alone, if their share allows it.
        """
        shortest_s, longest_s = self._shortest_s / parts, self._longest_s / parts
        pause_s = min(max(shortest_s, self._spent_s / self._share), max(longest_s, self._spent_s))
        return max(0.0, self._began_s + pause_s - now_s)
