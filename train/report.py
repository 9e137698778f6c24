"""The report of an evaluation, as one HTML file or as Markdown with a folder of pictures beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from engine.errors import SinkError, UsageError
from engine.model_file import ModelSpec
from train.protocols.pairing import Prediction, Selection, judge
from train.report_pages import HtmlPage, MarkdownPage, Page
from train.report_pictures import draw_gallery
from train.report_plots import plot_curve, plot_histogram, plot_shares

GALLERY = 12
"""People in each of the two galleries."""
DEFINITIONS = {
    "mean_oks": ("mean OKS", "object keypoint similarity with the prediction that answers, 0 for nobody"),
    "ap": ("AP", "COCO, mean over OKS thresholds 0.50 to 0.95"),
    "ap50": ("AP50", "COCO at OKS 0.50"),
    "ap75": ("AP75", "COCO at OKS 0.75"),
    "ap_medium": ("AP medium", "people of 32² to 96² px of area"),
    "ap_large": ("AP large", "people of more than 96² px of area"),
    "ar": ("AR", "COCO recall with at most 20 detections, mean over OKS thresholds"),
    "ar50": ("AR50", "recall at OKS 0.50"),
    "ar75": ("AR75", "recall at OKS 0.75"),
    "ar_medium": ("AR medium", "recall, as AP medium"),
    "ar_large": ("AR large", "recall, as AP large"),
    "pck_torso": ("PCK@0.2 torso", "keypoints within 0.2 of left shoulder to right hip"),
}
MISTAKES = (
    "Kinds of mistakes as in Ronchi & Perona 2017: good (similarity of 0.85 and more), jitter (0.5 to 0.85), "
    "inversion (on the other side of the same body), swap (on another person), miss (nowhere near), and "
    "unfound: labels of people for whom nobody answers."
)


def write_report(
    path: Path,
    figures: Mapping,
    predictions: Sequence[Prediction],
    spec: ModelSpec,
    selection: Selection,
    *,
    command: str = "",
    seed: int = 0,
) -> None:
    """Write the report of an evaluation.

    Args:
        path: `.html`: everything in one file; `.md`: pictures lie in a folder of the same name beside it.
        figures: of `train.evaluate.summarise`.
        predictions: those that were summarised; their pictures are read again.
        spec: the model.
        selection: who counted.
        command: what the user typed.
        seed: draws the random gallery.

    Raises:
        UsageError: the path ends otherwise.
        SinkError: it cannot be written.
        SourceError: a picture cannot be read any more.
    """
    pages = {".html": HtmlPage, ".md": MarkdownPage}
    if path.suffix not in pages:
        raise UsageError(f"a report ends in .html or .md, got {path.name}")
    page: Page = pages[path.suffix]()
    _write_figures(page, figures, predictions, spec, selection, command)
    judged = list(judge(predictions, spec.skeleton, selection))
    order = np.argsort([item.oks for item in judged], kind="stable")
    page.heading("Worst people")
    page.text("Left as predicted, right as labelled; orange is the person's left, blue the right.")
    worst = [judged[index] for index in order[:GALLERY]]
    page.gallery("worst", draw_gallery(worst, spec.skeleton))
    page.heading("People at random")
    drawn = np.random.default_rng(seed).permutation(len(judged))[:GALLERY]
    page.gallery("random", draw_gallery([judged[index] for index in drawn], spec.skeleton))
    try:
        page.save(path, f"Evaluation of {spec.name}")
    except OSError as error:
        raise SinkError(f"report {path} cannot be written ({error}); choose another place") from error


def describe_figures(figures: Mapping) -> str:
    """Return the figures as lines for a terminal."""
    names = list(next(iter(figures["per_keypoint"].values())))
    lines = [f"{'keypoint':16} " + " ".join(f"{_heading(name):>10}" for name in names)]
    for name, values in figures["per_keypoint"].items():
        lines.append(f"{name:16} " + " ".join(f"{_format(value, blank=''):>10}" for value in values.values()))
    lines.append(", ".join(f"{kind} {share:.1%}" for kind, share in figures["errors"].items()))
    for key in ("lsp", "mpii", "posetrack"):
        if key in figures:
            lines += [f"{key} {name}: {_format(value)}" for name, value in _flatten(figures[key])]
    lines.append(
        f"{figures['people']} people: mean OKS {figures['mean_oks']:.3f}, AP {_format(figures['ap'])}, "
        f"AP50 {_format(figures['ap50'])}, AR {_format(figures['ar'])}, "
        f"PCK@0.2 torso {_format(figures['pck_torso'])}"
    )
    return "\n".join(lines)


def _write_figures(
    page: Page,
    figures: Mapping,
    predictions: Sequence[Prediction],
    spec: ModelSpec,
    selection: Selection,
    command: str,
) -> None:
    page.heading("What was judged")
    size = f"{spec.input_size[0]} × {spec.input_size[1]}"
    facts = [
        ["model", f"{spec.name}, {spec.architecture}, {spec.kind}, {size}, {spec.precision}"],
        ["decoder", f"{spec.decoder}, convention {spec.convention}"],
        ["trained on", spec.training_data],
        ["images", str(len(predictions))],
        [
            "people",
            f"{figures['people']} with at least {selection.min_keypoints} keypoints and "
            f"{selection.min_height:g} px of height",
        ],
        ["skeleton", f"{spec.skeleton.name}, {spec.skeleton.count} keypoints"],
    ]
    page.table(["", ""], facts + ([["command", command]] if command else []))
    page.heading("Figures")
    rows = [[name, _format(figures[key]), text] for key, (name, text) in DEFINITIONS.items()]
    page.table(["figure", "value", "meaning"], rows)
    for key in ("lsp", "mpii", "posetrack"):
        if key in figures:
            page.heading(f"Protocol {key}")
            page.table(["figure", "value"], [[name, _format(v)] for name, v in _flatten(figures[key])])
    page.heading("Plots")
    plots = {
        "oks": plot_histogram(
            [row["oks"] for row in figures["persons"]], bins=10, x_label="OKS", y_label="people"
        )
    }
    curve = figures["pck_curve"]
    if curve["pck"]:
        plots["pck"] = plot_curve(
            curve["thresholds"], curve["pck"], x_label="distance in torsos", y_label="share of keypoints"
        )
    plots["mistakes"] = plot_shares(figures["errors"])
    page.plots(plots)
    page.text(MISTAKES)
    page.heading("By keypoint")
    names = list(next(iter(figures["per_keypoint"].values())))
    page.table(
        ["keypoint", *(_heading(name) for name in names)],
        [[key, *(_format(v) for v in values.values())] for key, values in figures["per_keypoint"].items()],
    )
    for heading, key in (("By height of the person", "by_height"), ("By number of people", "by_company")):
        page.heading(heading)
        rows = [[r["name"], str(r["people"]), str(r["found"]), _format(r["mean_oks"])] for r in figures[key]]
        page.table(["", "people", "found", "mean OKS"], rows)


def _heading(name: str) -> str:
    return {"oks": "OKS", "pck@0.1": "PCK@0.1", "pck_torso@0.2": "PCK torso"}.get(name, name)


def _format(value: float | None, blank: str = "–") -> str:
    return blank if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"


def _flatten(values: Mapping, prefix: str = "") -> list[tuple[str, float | None]]:
    """Return the numbers of a tree with their paths; curves and sequences, which are long, are left out."""
    rows: list[tuple[str, float | None]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            if name not in ("curve", "sequences"):
                rows += _flatten(value, f"{prefix}{name} ")
        else:
            rows.append((f"{prefix}{name}", value))
    return rows
