"""`steadypose bench`: what this machine reaches, stage by stage and in all, and how true the result is."""

from pathlib import Path

from rich.console import Console

from app.bench.accuracy import AccuracyMeter, accuracy_text
from app.bench.files import check_writable, write_json
from app.bench.networks import NetworkTiming, measure_networks
from app.bench.stages import LOOK_AT_S, StageTiming, frame_at, measure_stages
from app.bench.whole import RUNS, WholeTiming, measure_whole
from app.console import say
from app.machine import describe_machine, machine_line
from app.tables import text_table
from assets import demo_clip, demo_truth
from engine.errors import SourceError
from engine.settings import EstimatorSettings


def run_bench(settings: EstimatorSettings, *, json_path: Path | None, console: Console) -> None:
    """Measure everything on the bundled clip and print tables; takes a few minutes.

    Args:
        settings: which models, and the threads of their runtimes.
        json_path: also write the numbers there.
        console: where it says what is being measured.

    Raises:
        SourceError: the clip or its truth is missing.
        ModelFileError: a model is missing.
        UsageError: the JSON file cannot be written.
    """
    clip = demo_clip()
    if not clip.is_file():
        raise SourceError(f"the bundled demo clip {clip} is missing; install the package again")
    if json_path:
        check_writable(json_path)
    accuracy = AccuracyMeter(demo_truth())
    say(machine_line())
    console.print("measuring stages …")
    stages = list(measure_stages(clip, settings))
    say("\n" + stage_table(stages))
    console.print("measuring networks …")
    networks = list(measure_networks(frame_at(clip, LOOK_AT_S), settings))
    say("\n" + network_table(networks))
    console.print("measuring the whole path …")
    wholes = list(measure_whole(clip, settings, on_result=accuracy.add))
    say("\n" + whole_table(wholes))
    say("\n" + accuracy_text(accuracy.measure()))
    if json_path:
        numbers: dict[str, object] = {
            "machine": describe_machine(),
            "stages": [row.as_dict() for row in stages],
            "networks": [row.as_dict() for row in networks],
            "end_to_end": [row.as_dict() for row in wholes],
            "accuracy": accuracy.measure().as_dict(),
        }
        write_json(json_path, numbers)


def stage_table(rows: list[StageTiming]) -> str:
    """Return the table of stages."""
    cells = [(row.stage, row.on, _ms(row.timing.median_ms), _ms(row.timing.min_ms)) for row in rows]
    return text_table(("stage", "on", "median ms", "min ms"), cells)


def network_table(rows: list[NetworkTiming]) -> str:
    """Return the table of networks; ratio 1 is the fastest on the same inputs."""
    cells = [
        (row.model, row.inputs, row.runtime, row.precision)
        + (_ms(row.timing.median_ms), _ms(row.timing.min_ms), f"{row.ratio:.2f}")
        for row in rows
    ]
    return text_table(("network", "inputs", "runtime", "precision", "median ms", "min ms", "ratio"), cells)


def whole_table(rows: list[WholeTiming]) -> str:
    """Return the table of the whole path, file in and CSV out, with the mean milliseconds per stage."""
    stages = list(dict.fromkeys(stage for row in rows for stage in row.stages_ms))
    cells = [
        (
            row.mode,
            row.precision,
            f"{row.frame_rate:.1f}",
            f"{row.best_frame_rate:.1f}",
            f"{row.real_time:.2f}",
        )
        + tuple(_ms(row.stages_ms.get(stage, 0.0)) for stage in stages)
        for row in rows
    ]
    headers = ("mode", "precision", f"frames/s, median of {RUNS}", "best", "x real time")
    return text_table((*headers, *(f"{stage} ms" for stage in stages)), cells)


def _ms(value: float) -> str:
    return f"{value:.2f}"
