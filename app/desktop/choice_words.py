"""What modes, runtimes and precisions are called, wherever they are shown."""

from PySide6.QtCore import QCoreApplication

from engine.choices import LABELS, Choice

_DEFAULT = " (default)"
"""What `engine.choices` adds to the name of a model that comes with the program."""


def value_text(value: str) -> str:
    """Return what people call a value of a setting; a name of its own stays as it is."""
    texts = {
        "auto": QCoreApplication.translate("Choices", "Automatic"),
        "top-down": QCoreApplication.translate("Choices", "Top-down"),
        "bottom-up": QCoreApplication.translate("Choices", "Bottom-up"),
    }
    return texts.get(value) or LABELS.get(value, value)


def choice_text(choice: Choice) -> str:
    """Return the label of a choice in the user's language."""
    if choice.label == LABELS.get(choice.value):
        return value_text(choice.value)
    if choice.label.endswith(_DEFAULT):
        name = choice.label.removesuffix(_DEFAULT)
        return QCoreApplication.translate("Choices", "{name} (default)").format(name=name)
    return choice.label
