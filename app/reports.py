"""What `models list` and `models info` print, as text or as JSON."""

import json
from collections.abc import Mapping

from app.console import say
from app.tables import field_lines, text_table
from engine.model_file import file_sha256, read_spec
from engine.zoo import INT8_SUFFIX, ZooEntry, find_model, list_models, model_path


def print_models(*, as_json: bool) -> None:
    """Print the models that can be named.

    Raises:
        ModelFileError: a bundled file is damaged.
    """
    entries = list_models()
    if as_json:
        say(json.dumps([entry.describe() for entry in entries], indent=2))
        return
    if not entries:
        say("no model is bundled with this installation; name an ONNX file instead")
        return
    rows = [
        (
            entry.name,
            entry.spec.kind,
            _size_text(entry.spec.input_size),
            f"{entry.parameters / 1e6:.2f} M",
            " ".join(f"{form} {size / 1e6:.1f} MB" for form, size in entry.file_bytes.items()),
            _mapping_text(entry.spec.accuracy),
            " ".join(entry.aliases),
        )
        for entry in entries
    ]
    say(text_table(("name", "kind", "input", "parameters", "files", "accuracy", "also called"), rows))


def print_model(name: str, *, as_json: bool) -> None:
    """Print what is known of one model, given by name, alias or path.

    Raises:
        ModelFileError: there is no such model, or its file is not ours.
    """
    entry = _find_entry(name)
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
    if as_json:
        say(json.dumps(facts, indent=2))
        return
    say(field_lines([(key.replace("_", " "), _text(value)) for key, value in facts.items()]))


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
