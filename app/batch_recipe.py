"""What a queue's options ask of each file, in the words of `app.batch_task`, and what is kept for the next.

The queue works through files as the command line does, one process and one file at a time: so what was begun
with the one can be gone on with by the other.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.batch_choice import with_choice, with_earlier
from app.batch_item import QueueOptions
from app.batch_task import Models, Recipe, Task, ask_recipe
from app.extra_files import find_extras
from app.outputs import OutputPaths, find_existing
from app.report.canvas import check_plots
from app.resume import Found
from engine.settings import TrackSettings, VideoDecoder
from engine.sinks.formats import parse_formats

DECODER: VideoDecoder = "software"
MOST_NAMED = 3
"""Files that are named when they are in the way."""


def check_packages(options: QueueOptions) -> None:
    """Refuse formats and plots that cannot be made here, before hours are spent on their rows.

    Raises:
        UsageError: there is no such format, or a package is missing.
    """
    parse_formats(options.write.formats)
    if options.plots:
        check_plots()


class Workbench:
    """What lies ready from file to file: the request while the options stay, models while the settings do.

    What `auto` chooses on the first file holds for the next ones too.
    """

    def __init__(self) -> None:
        self._asked: tuple[QueueOptions, Recipe] | None = None
        self._earlier: tuple[TrackSettings, Mapping[str, Any]] | None = None
        self._chosen: Recipe | None = None
        self._models: Models | None = None

    def recipe(self, options: QueueOptions) -> Recipe:
        """Return what options ask for, before anything is chosen.

        Raises:
            ModelFileError: no model is called so.
        """
        if self._asked is None or self._asked[0] != options:
            recipe = ask_recipe(
                options.asked_settings,
                options.write,
                fps=options.fps,
                stills=options.stills,
                decoder=DECODER,
                plots=options.plots,
            )
            self._asked = options, recipe
        return self._asked[1]

    def note_earlier(self, recipe: Recipe, choice: Mapping[str, Any] | None) -> None:
        """Hold to what an earlier run had chosen for the same request, unless something is chosen already."""
        if choice and (self._earlier is None or self._earlier[0] != recipe.asked):
            self._earlier = recipe.asked, choice

    def open(self, recipe: Recipe, task: Task) -> tuple[Recipe, Models]:
        """Return the recipe with what is chosen, and its models; `task` is measured where nothing is yet.

        Raises:
            SteadyPoseError: the models cannot be opened.
        """
        if self._chosen is None or self._models is None or self._chosen.asked != recipe.asked:
            self.close()
            if self._earlier is not None and self._earlier[0] == recipe.asked:
                chosen, opened = with_earlier(recipe, self._earlier[1]), None
            else:
                chosen, opened = with_choice(recipe, [task], 1)
            self._models = Models(chosen.settings, opened)
            # A file that cannot be opened chooses nothing: the next one does.
            self._chosen = chosen if chosen.choice else None
            return chosen, self._models
        return replace(recipe, settings=self._chosen.settings, choice=self._chosen.choice), self._models

    def close(self) -> None:
        """Free the models."""
        if self._models is not None:
            self._models.close()
        self._models = self._chosen = None


def files_of(paths: OutputPaths, options: QueueOptions) -> list[Path]:
    """Return which of the files of one input are there, of whatever run."""
    return find_existing(paths) + find_extras(paths.csv, options.write.formats, plots=options.plots)


def refusal(existing: list[Path], paths: OutputPaths, found: Found, *, skip_done: bool) -> str:
    """Return why what is there is not touched, and what to do."""
    names = " and ".join(path.name for path in existing[:MOST_NAMED])
    more = f" and {len(existing) - MOST_NAMED} more" if len(existing) > MOST_NAMED else ""
    verb = "exists" if len(existing) == 1 else "exist"
    why = {"other": f", {found.why}", "begun": f", and {found.why}"}.get(found.state, "")
    skip = "skip what is done, " if found.state in ("done", "begun") and not skip_done else ""
    return (
        f"{names}{more} {verb} already in {paths.csv.parent}{why}; {skip}retry with overwrite, or choose "
        "another output folder"
    )
