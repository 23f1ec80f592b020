"""ONNX Runtime, imported in one place: silent towards its maker and towards the user's terminal."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from visualsearch.errors import EncoderError

SILENCE = "ORT_DISABLE_TELEMETRY"
"""ONNX Runtime 1.29 and later read it when they are imported: with 1 they keep no device id and send nothing.

Without it, the official Linux and macOS builds write an id of the machine to the user's cache and send events to
mobile.events.data.microsoft.com (https://github.com/microsoft/onnxruntime/pull/27379).
"""


@cache
def runtime() -> Any:
    """The module onnxruntime, with its telemetry off."""
    os.environ[SILENCE] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # what Windows and other releases go by
    return onnxruntime


def options() -> Any:
    """Session options for a process that has other work for its cores."""
    chosen = runtime().SessionOptions()
    chosen.log_severity_level = 3  # errors only; warnings would reach the user's terminal
    # Spinning threads hold a core while they wait, which the threads that decode pictures need.
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return chosen


def session(path: Path, chosen: Any) -> Any:
    """A graph that is ready to run on the CPU. Raises EncoderError when its file is missing or damaged."""
    try:
        return runtime().InferenceSession(str(path), chosen, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no public base
        raise EncoderError(f"{path} cannot be loaded", str(error), "Reinstall visualsearch") from error
