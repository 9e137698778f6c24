"""What `doctor` prints, as text or as JSON."""

from app.console import say
from app.tables import field_lines, text_table
from engine.doctor import Diagnosis, diagnose


def print_doctor(*, as_json: bool) -> int:
    """Look at this machine, print what was found, return exit code 0 if healthy, else 1."""
    diagnosis = diagnose()
    say(diagnosis.model_dump_json(indent=2) if as_json else diagnosis_text(diagnosis))
    return 0 if diagnosis.healthy else 1


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Return a diagnosis as paragraphs: machine, packages, runtimes, models, problems with their remedies."""
    memory = "unknown" if diagnosis.memory_gib is None else f"{diagnosis.memory_gib} GiB"
    cache = "writable" if diagnosis.cache_writable else "NOT writable"
    parts = [
        field_lines(
            [
                ("steadypose", diagnosis.version),
                ("python", diagnosis.python),
                ("system", diagnosis.system),
                ("processor", f"{diagnosis.cpu}, {diagnosis.cores} cores"),
                ("memory", memory),
                ("cache", f"{diagnosis.cache_dir} ({cache})"),
            ]
        ),
        field_lines([(name, number or "absent") for name, number in diagnosis.packages.items()]),
        text_table(
            ("runtime", "version", "works", "sees"),
            [
                (
                    runtime.name,
                    runtime.version or "absent",
                    "yes" if runtime.works else "NO",
                    ", ".join(
                        key if kind == "provider" else f"{key}: {kind}"
                        for key, kind in runtime.devices.items()
                    ),
                )
                for runtime in diagnosis.runtimes
            ],
        ),
    ]
    runs = [
        (str(model.about["name"]), run.runtime, run.precision, f"{run.latency_ms:.1f} ms")
        for model in diagnosis.models
        for run in model.runs
    ]
    differences = [
        (str(model.about["name"]), gap.first, gap.second, f"{gap.maximum:.4f}", f"{gap.mean:.5f}")
        for model in diagnosis.models
        for gap in model.differences
    ]
    if runs:
        parts.append(text_table(("model", "runtime", "precision", "fastest of 5"), runs))
    if differences:
        parts.append(text_table(("model", "first", "second", "largest gap", "mean gap"), differences))
    problems = [f"problem: {problem.what}\n    mend: {problem.remedy}" for problem in diagnosis.problems]
    parts.append("\n".join(problems) or "nothing is amiss")
    return "\n\n".join(parts)
