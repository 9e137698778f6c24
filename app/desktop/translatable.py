"""Marks texts that stand in tables for translation; they are translated where they are shown."""


def QT_TRANSLATE_NOOP(context: str, text: str) -> str:
    """Return `text`; `pyside6-lupdate` knows this name. Qt's own function returns no `str` to mypy.

    Args:
        context: under which the text stands in the file of translations.
        text: in English.
    """
    return text
