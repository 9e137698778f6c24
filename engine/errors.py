"""The one tree of errors that SteadyPose raises on purpose.

Each message is one sentence or two: what was expected, what came, what to do. The command line prints it
without a traceback and turns the class into an exit code.
"""


class SteadyPoseError(Exception):
    """Root of every error that is the user's to mend, not a defect."""


class UsageError(SteadyPoseError):
    """A setting, an option or a combination of them makes no sense (exit code 2)."""


class SourceError(SteadyPoseError):
    """A video, an image folder or a stream cannot be read."""


class ModelFileError(SteadyPoseError):
    """A model file is missing, damaged, not ours, or does not fit what was asked of it."""


class RuntimeUnavailableError(SteadyPoseError):
    """A runtime that was asked for is not installed or cannot run on this machine."""


class SinkError(SteadyPoseError):
    """A result cannot be written: folder not writable, disk full, encoder missing."""


class TrainingError(SteadyPoseError):
    """A training run cannot go on: its numbers are no longer finite, or a process of it was lost."""


class DeviceError(SteadyPoseError):
    """A GPU failed in the middle of its work: lost, out of memory, or a kernel of ours went wrong."""
