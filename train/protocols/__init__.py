"""How data sets judge: from predictions and labels to the figures that papers print."""

from typing import Literal

Protocol = Literal["coco", "mpii", "lsp", "posetrack"]
"""Whose figures are added to those that every evaluation has."""
Decoder = Literal["engine", "published"]
"""How bottom-up networks are decoded: as they ship, or as papers measure them."""
