"""Imports run one way, and what is heavy is imported by the leaf that needs it."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import visualsearch

PACKAGE = Path(visualsearch.__file__).parent
# Lower layers first; a module may import from its own room and from the layers below it.
LAYERS = (
    {"errors", "specs"},
    {"keywords", "markup", "phrases", "types"},
    {"copies", "resources", "wire"},
    {"fetch", "people", "ranking", "evaluate", "onnx", "storage", "samples"},
    {"guarded"},
    {"compiled"},
    {"images"},
    {"sources"},
    {"encoders"},
    {"store"},
    {"nearest"},
    {"search"},
    {"look"},
    {"indexing", "pages"},
    {"adapters", "dedup"},
    {"upkeep", "pinned", "recommend"},
    {"changing", "contents"},
    {"searching"},
    {"recommending"},
    {"engine"},
    {"backup", "embedding", "world", "experiments", "trust", "promote", "insight", "learn"},
    {"live"},
    {"quality"},
    {"server"},
    {"cli", "__main__", "__init__"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
HEAVY = {
    "torch",
    "torchvision",
    "open_clip",
    "faiss",
    "onnxruntime",
    "openvino",
    "nncf",
    "pyarrow",
    "httpx",
    "fsspec",
    "fastapi",
    "pillow_heif",
    "numba",
    "pymilvus",
    "ray",
    "sqlalchemy",
    "alembic",
    "jinja2",
    "psycopg",
    "opendp",
}


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "_data" not in p.parts)


def top(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path, at_import_time: bool) -> set[str]:
    """Absolute names of what a module imports; only outside functions when `at_import_time`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    parts = ("visualsearch", *path.relative_to(PACKAGE).with_suffix("").parts)

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            if at_import_time and (inside or typing_only):
                continue
            if isinstance(child, ast.Import):
                names.update(a.name for a in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = list(parts[: len(parts) - child.level]) if child.level else []
                stem = ".".join([*base, *([child.module] if child.module else [])])
                names.update({stem, *(f"{stem}.{a.name}" for a in child.names)})
            visit(child)

    visit(tree)
    return names


def test_every_module_has_a_layer() -> None:
    assert {top(p) for p in modules()} <= set(LEVEL)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way_inside_functions_too(path: Path) -> None:
    own = LEVEL[top(path)]
    for name in imported(path, at_import_time=False):
        words = name.split(".")
        if words[0] == "visualsearch" and len(words) > 1 and words[1] in LEVEL and words[1] != top(path):
            assert LEVEL[words[1]] < own or own == LEVEL["cli"], (
                f"{path.name} imports {name}, which stands above it"
            )


ROOMS = {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
SIDE_DOORS = {
    "adapters": {"clip_retrieval", "milvus", "ray"},
    "server": {"extend", "keys", "run", "settings"},
}
"""Modules that are doors of their own: what they need is an extra, so their room's door must not import them."""


def names_behind_doors(path: Path) -> list[str]:
    """Imports of another room's insides: a module behind its door, or a name that its `__all__` has not."""
    found = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parts = ("visualsearch", *path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = list(parts[: len(parts) - node.level]) if node.level else []
        words = ".".join([*base, *([node.module] if node.module else [])]).split(".")
        if words[0] != "visualsearch" or len(words) < 2 or words[1] not in ROOMS or words[1] == top(path):
            continue
        if len(words) > 2:
            if words[2] not in SIDE_DOORS.get(words[1], set()):
                found.append(".".join(words))
            continue
        door = set(importlib.import_module(f"visualsearch.{words[1]}").__all__)
        found += [f"{words[1]}.{a.name}" for a in node.names if a.name not in door]
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nobody_imports_what_is_behind_another_rooms_door(path: Path) -> None:
    assert names_behind_doors(path) == []


@pytest.mark.parametrize(
    "line", ["from visualsearch.store.catalog import Catalog", "from visualsearch.store import _pin"]
)
def test_an_import_past_a_door_would_be_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    room = tmp_path / "search"
    room.mkdir()
    (room / "new.py").write_text(line + "\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    assert len(names_behind_doors(room / "new.py")) == 1


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_at_first_use_only(path: Path) -> None:
    leaves = {
        "encoders/openclip.py",
        "server/app.py",
        "wire.py",
        "compiled/search_loops.py",
        "compiled/walk_loops.py",
        "images/_kernels.py",
    }
    if str(path.relative_to(PACKAGE)) in leaves or top(path) == "server":
        return
    allowed = {"sqlalchemy", "alembic"} if top(path) == "people" else set()  # loaded with `open_people`
    heavy = {n.split(".")[0] for n in imported(path, at_import_time=True)} & HEAVY - allowed
    assert heavy == set()


def test_faiss_is_imported_by_ann_only() -> None:
    users = {
        str(p.relative_to(PACKAGE))
        for p in modules()
        if any(n.split(".")[0] == "faiss" for n in imported(p, False))
    }
    assert users == {"nearest/ann.py"}


def test_onnxruntime_is_imported_where_its_telemetry_is_switched_off_only() -> None:
    users = {
        str(p.relative_to(PACKAGE))
        for p in modules()
        if any(n.split(".")[0] == "onnxruntime" for n in imported(p, False))
    }
    assert users == {"onnx.py"}


def sql_outside(path: Path) -> list[str]:
    """Calls that run SQL, but for those on a scratch database in memory."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    scratch: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and "sqlite3.connect(':memory:')" in ast.unparse(node.items[0]):
            name = ast.unparse(node.items[0].optional_vars or node)
            scratch |= {n for n in ast.walk(node) if ast.unparse(n).startswith(f"{name}.execute")}
    called = {"execute", "executemany", "executescript"}
    return [
        f"{path.name}:{node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in called
        and node not in scratch
    ]


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_sql_over_the_catalog_is_in_the_store_alone(path: Path) -> None:
    if top(path) not in ("store", "people"):
        assert sql_outside(path) == []


@pytest.mark.parametrize(
    ("line", "noticed"),
    [
        ("reader.db.execute('SELECT 1')", True),
        ("writer.db.executemany('DELETE FROM dead', [])", True),
        ("with closing(sqlite3.connect(':memory:')) as db: db.execute('SELECT 1')", False),
        ("with closing(sqlite3.connect(':memory:')) as db: reader.db.execute('SELECT 1')", True),
        ("with closing(sqlite3.connect('catalog.sqlite')) as db: db.execute('SELECT 1')", True),
    ],
)
def test_sql_outside_the_store_would_be_noticed(tmp_path: Path, line: str, noticed: bool) -> None:
    (tmp_path / "new.py").write_text(line + "\n")
    assert bool(sql_outside(tmp_path / "new.py")) == noticed


def test_only_the_command_line_prints_or_exits() -> None:
    for path in modules():
        if top(path) in ("cli", "__main__") or path.name == "build.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "exit", "sys.exit", "quit"), f"{path}:{node.lineno}"


def test_the_public_names_are_those_of_all_and_importing_them_is_light() -> None:
    names = {n for n in dir(visualsearch) if not n.startswith("_")}
    public = {n for n in names if not isinstance(getattr(visualsearch, n), type(sys))}
    assert {*public, "__version__"} == set(visualsearch.__all__)
    code = f"import visualsearch, sys; print(sorted(set(sys.modules) & {HEAVY!r}))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_no_module_names_a_place_of_the_machine_it_was_written_on() -> None:
    for path in modules():
        text = path.read_text(encoding="utf-8")
        assert "/work/" not in text, path
        assert "/root/" not in text, path
