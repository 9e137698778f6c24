"""What `models list` and `models info` print, as text or as JSON."""

import json
from collections.abc import Mapping

from app.console import say
from app.tables import field_lines, text_table
from engine.model_file import file_sha256, read_spec
from engine.zoo import INT8_SUFFIX, ZooEntry, downloaded_names, find_model, list_models, model_path
from engine.zoo_catalogue import CATALOGUE, PublishedModel

HEADERS = ("name", "kind", "input", "state", "parameters", "size", "accuracy", "licence", "also called")


def print_models(*, as_json: bool) -> None:
    """Print the models: bundled, downloaded, then those that can be downloaded.

    Raises:
        ModelFileError: a bundled file is damaged.
    """
    entries = list_models()
    taken = {entry.name for entry in entries}
    available = [entry for entry in CATALOGUE.values() if entry.name not in taken]
    if as_json:
        told = [entry.describe() for entry in entries] + [entry.describe() for entry in available]
        say(json.dumps(told, indent=2))
        return
    rows: list[tuple[str, ...]] = [
        (
            entry.name,
            entry.spec.kind,
            _size_text(entry.spec.input_size),
            entry.state,
            f"{entry.parameters / 1e6:.2f} M",
            " ".join(f"{form} {size / 1e6:.1f} MB" for form, size in entry.file_bytes.items()),
            _mapping_text(_headline(entry.spec.accuracy)),
            entry.spec.licence,
            " ".join(entry.aliases),
        )
        for entry in entries
    ]
    rows += [
        (
            entry.name,
            entry.kind,
            _size_text(entry.input_size),
            entry.state,
            "",
            "",
            _mapping_text(_headline(entry.accuracy)),
            entry.licence,
            "",
        )
        for entry in available
    ]
    say(text_table(HEADERS, rows))


def print_model(name: str, *, as_json: bool) -> None:
    """Print what is known of one model, given by name, alias or path; it may be one not downloaded yet.

    Raises:
        ModelFileError: there is no such model, or its file is not ours.
    """
    if name in CATALOGUE and name not in downloaded_names():
        facts = CATALOGUE[name].describe() | {"download": _download_line(CATALOGUE[name])}
    else:
        facts = _file_facts(_find_entry(name))
    if as_json:
        say(json.dumps(facts, indent=2))
        return
    say(field_lines([(key.replace("_", " "), _text(value)) for key, value in facts.items()]))


def _file_facts(entry: ZooEntry) -> dict[str, object]:
    spec = entry.spec
    facts = entry.describe() | {
        "input_size": list(spec.input_size),
        "colour_order": spec.colour_order,
        "heatmap_strides": [output.stride for output in spec.heatmap_outputs],
        "tag_strides": [output.stride for output in spec.tag_outputs],
        "convention": spec.convention,
        "decoder": spec.decoder,
        "keypoint_names": list(spec.skeleton.keypoints),
        "files": {form: str(path) for form, path in entry.files.items()},
        "sha256": {form: file_sha256(path) for form, path in entry.files.items()},
        "checkpoint_sha256": spec.checkpoint_sha256,
    }
    if entry.state == "downloaded" and entry.name in CATALOGUE:
        facts = CATALOGUE[entry.name].describe() | facts
    return facts


def _download_line(entry: PublishedModel) -> str:
    return f"steadypose models download {entry.name}" + ("" if entry.path else " --from FILE")


def _headline(accuracy: Mapping[str, float]) -> dict[str, float]:
    """Return the first two figures, which lists have room for."""
    return dict(list(accuracy.items())[:2])


def _find_entry(name: str) -> ZooEntry:
    path = model_path(name)
    read_spec(path)  # a path that is missing or no model of ours is told as such, not as an unknown name
    return find_model(path.name.removesuffix(INT8_SUFFIX).removesuffix(".onnx"), path.parent)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return _mapping_text(value)
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    return str(value)


def _mapping_text(values: Mapping[str, object]) -> str:
    parts = [
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in values.items()
    ]
    return ", ".join(parts)


def _size_text(size: tuple[int, int]) -> str:
    """Return (height, width) as it is spoken of: height x width."""
    return f"{size[0]}x{size[1]}"
