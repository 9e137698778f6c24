"""The summary of a batch as CSV: one row per input, rewritten whole whenever one of them ends."""

import csv
import io
import logging
from collections.abc import Sequence
from pathlib import Path

from app.batch_task import Outcome
from app.inputs import REPORT_STEM
from engine.errors import SinkError
from engine.sinks.atomic import whole_file

LOGGER = logging.getLogger(__name__)

COLUMNS = (
    "input", "status", "frames", "frames_dropped", "people", "seconds", "frames_per_s", "warnings", "error",
    "csv",
)  # fmt: skip


class BatchReport:
    """The file and its rows, in the order of the inputs.

    status: `waiting`, `complete`, `done before` (by an earlier run, found again), `interrupted`, `failed`.
    That the file cannot be written is said once, and ends nothing.

    Args:
        folder: of the results.
        names: of the inputs, by number.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.path = folder / f"{REPORT_STEM}.csv"
        self._names = list(names)
        self._outcomes = [Outcome(key, "waiting") for key in range(len(self._names))]
        self._failed_before = False

    def set(self, outcome: Outcome) -> None:
        """Take note of what came of one input; `write` writes it."""
        self._outcomes[outcome.key] = outcome

    @property
    def failures(self) -> list[Outcome]:
        """The inputs that failed."""
        return [outcome for outcome in self._outcomes if outcome.status == "failed"]

    @property
    def done(self) -> int:
        """How many inputs are done, now or before."""
        return sum(outcome.status in ("complete", "done before") for outcome in self._outcomes)

    def write(self) -> None:
        """Write the file as things stand, in one step."""
        text = io.StringIO(newline="")
        table = csv.writer(text)
        table.writerow(COLUMNS)
        table.writerows(
            _row(name, outcome) for name, outcome in zip(self._names, self._outcomes, strict=True)
        )
        try:
            with whole_file(self.path) as part:
                part.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))
        except SinkError as error:
            if not self._failed_before:
                LOGGER.warning("the summary of the batch is missing or not up to date: %s", error)
            self._failed_before = True


def _row(name: str, outcome: Outcome) -> list[str]:
    counted = outcome.status != "waiting"
    rate = f"{outcome.frames / outcome.seconds:.2f}" if outcome.seconds > 0 else ""
    return [
        name,
        outcome.status,
        str(outcome.frames) if counted else "",
        str(outcome.dropped) if counted else "",
        str(outcome.people) if counted else "",
        f"{outcome.seconds:.3f}" if outcome.seconds > 0 else "",
        rate,
        " | ".join(outcome.warnings),
        outcome.error,
        outcome.files[0].name if outcome.files else "",
    ]
