"""What plots call things: quantities, keypoints, angles and units in words."""

from PySide6.QtCore import QCoreApplication

from app.desktop.plots_data import Kind, Quantity


def kind_text(kind: Kind) -> str:
    """Return a kind of quantity in words."""
    return {
        "x": QCoreApplication.translate("Plots", "Position x"),
        "y": QCoreApplication.translate("Plots", "Position y"),
        "speed": QCoreApplication.translate("Plots", "Speed"),
        "angle": QCoreApplication.translate("Plots", "Angle"),
    }[kind]


def name_text(name: str) -> str:
    """Return a keypoint's or angle's name as one reads it: left_wrist as Left wrist."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def quantity_title(quantity: Quantity) -> str:
    """Return what a plot shows."""
    kind = {
        "x": QCoreApplication.translate("Plots", "x"),
        "y": QCoreApplication.translate("Plots", "y"),
        "speed": QCoreApplication.translate("Plots", "speed"),
        "angle": QCoreApplication.translate("Plots", "angle"),
    }[quantity.kind]
    return f"{name_text(quantity.name)} {kind}"


def quantity_unit(quantity: Quantity) -> str:
    """Return the unit beside a plot's title; of a height also that it is counted from the top."""
    if quantity.kind == "y":
        return QCoreApplication.translate("Plots", "px from the top")
    if quantity.kind == "x":
        return QCoreApplication.translate("Plots", "px from the left")
    return quantity.unit
