"""Results as web pages."""

from .plain import render_template, script, write_template
from .results import Section, command_line, write_page
from .scenes import write_look
from .tiles import Loader

__all__ = [
    "Loader",
    "Section",
    "command_line",
    "render_template",
    "script",
    "write_look",
    "write_page",
    "write_template",
]
