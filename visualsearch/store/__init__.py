"""The record of truth on disk: catalog, vectors, writer lock, checks. The only SQL over the catalog is here."""

from .attributes import ATTRIBUTES, Condition, json_path
from .catalog import Catalog
from .checks import Problem, check
from .exclusions import Excluded, Exclusions
from .followed import Identities
from .lock import writing
from .reader import Changes, Generation, Mark, Pin, Reader
from .values import MAX_ID_BYTES, check_id, checked, tidied
from .vectors import Segment, Vectors, alive_rows, flush_folder, widened, write_segment, write_whole
from .writer import Writer

__all__ = [
    "ATTRIBUTES",
    "MAX_ID_BYTES",
    "Catalog",
    "Changes",
    "Condition",
    "Excluded",
    "Exclusions",
    "Generation",
    "Identities",
    "Mark",
    "Pin",
    "Problem",
    "Reader",
    "Segment",
    "Vectors",
    "Writer",
    "alive_rows",
    "check",
    "check_id",
    "checked",
    "flush_folder",
    "json_path",
    "tidied",
    "widened",
    "write_segment",
    "write_whole",
    "writing",
]
