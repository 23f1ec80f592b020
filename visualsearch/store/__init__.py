"""The record of truth on disk: catalog, vectors, writer lock, checks. The only SQL over the catalog is here."""

from .attributes import ATTRIBUTES, Condition, json_path
from .catalog import Catalog
from .checks import Problem, check
from .copied import CopiedState, copy_catalog
from .exclusions import Excluded, Exclusions
from .followed import Identities
from .lock import writing
from .named import check_free, make_folder, pin_named
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
    "CopiedState",
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
    "check_free",
    "check_id",
    "checked",
    "copy_catalog",
    "flush_folder",
    "json_path",
    "make_folder",
    "pin_named",
    "tidied",
    "widened",
    "write_segment",
    "write_whole",
    "writing",
]
