"""`steadypose demo`: track the bundled clip and hold the result against the clip's exact truth."""

from pathlib import Path

from rich.console import Console

from app.batch import BatchOptions, run_batch
from app.console import say
from app.inputs import DEMO
from app.recording import WriteOptions
from app.truth import Match, TruthMatcher
from app.truth_files import read_truth
from assets import demo_truth
from engine.settings import TrackSettings
from engine.skeleton import COCO17
from engine.structures import Result


def run_demo(out: Path, *, video: bool, console: Console, verbosity: int) -> int:
    """Track the demo clip, say what was found and what of it is true; return the exit code.

    Results of an earlier demo are replaced.

    Raises:
        SourceError: the clip's truth is missing.
        SteadyPoseError: as `run_batch`.
    """
    matcher = TruthMatcher(read_truth(demo_truth(), COCO17), COCO17)
    options = BatchOptions(settings=TrackSettings(), out=out, write=WriteOptions(overwrite=True), video=video)

    def compare(result: Result) -> None:
        matcher.add(result.frame.index, result.people)

    code = run_batch([DEMO], options, console, verbosity, on_result=compare)
    if code == 0 and verbosity >= 0:
        say(match_text(matcher.match()))
    return code


def match_text(match: Match) -> str:
    """Return how the tracked people compare with the truth, in two sentences."""
    switches = {0: "no identity switch", 1: "1 identity switch"}.get(
        match.switches, f"{match.switches} identity switches"
    )
    return (
        f"truth: {match.people} people, seen {match.countable} times in {match.frames} frames; "
        f"{100 * match.recall:.1f} % of them found, {match.extra} found that match nobody, {switches}. "
        f"Visible keypoints are off by {match.error_px:.1f} px on average (mean OKS {match.mean_oks:.2f})."
    )
