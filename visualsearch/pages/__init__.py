"""Results as web pages."""

from .results import Loader, Section, command_line, write_page
from .scenes import write_look

__all__ = ["Loader", "Section", "command_line", "write_look", "write_page"]
