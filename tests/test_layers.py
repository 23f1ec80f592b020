"""Imports run one way, and what is heavy is imported by the leaf that needs it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import visualsearch

PACKAGE = Path(visualsearch.__file__).parent
# Lower layers first; a module may import from its own layer and from those below it.
LAYERS = (
    {"types", "errors"},
    {"compiled", "resources", "fetch", "filters", "evaluate", "onnx", "query_checks", "storage", "values"},
    {"_fast_loops", "fast", "images"},
    {
        "clustering",
        "connections",
        "crops",
        "naming",
        "proposals",
        "sources",
        "encoders",
        "vectors",
        "samples",
    },
    {"catalog", "columns", "lock", "pipeline", "scales", "exclusions"},
    {"ann", "rank", "mixing"},
    {"exact", "planner", "rows", "heldout", "query", "checks", "tuning", "alike"},
    {"adapters", "identity", "indexer", "report"},
    {"engine"},
    {"dedup", "ground", "look", "look_page", "quality"},
    {"cli", "server", "__main__", "__init__"},
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
def test_imports_run_one_way(path: Path) -> None:
    own = LEVEL[top(path)]
    for name in imported(path, at_import_time=True):
        words = name.split(".")
        if words[0] == "visualsearch" and len(words) > 1 and words[1] in LEVEL:
            assert LEVEL[words[1]] <= own, f"{path.name} imports {name}, which stands above it"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_heavy_packages_are_imported_at_first_use_only(path: Path) -> None:
    leaves = {"encoders/openclip.py", "server/app.py", "_fast_loops.py", "images/_kernels.py"}
    if str(path.relative_to(PACKAGE)) in leaves or top(path) == "server":
        return
    heavy = {n.split(".")[0] for n in imported(path, at_import_time=True)} & HEAVY
    assert heavy == set()


def test_faiss_is_imported_by_ann_only() -> None:
    users = {
        str(p.relative_to(PACKAGE))
        for p in modules()
        if any(n.split(".")[0] == "faiss" for n in imported(p, False))
    }
    assert users == {"ann.py"}


def test_onnxruntime_is_imported_where_its_telemetry_is_switched_off_only() -> None:
    users = {
        str(p.relative_to(PACKAGE))
        for p in modules()
        if any(n.split(".")[0] == "onnxruntime" for n in imported(p, False))
    }
    assert users == {"onnx.py"}


def test_only_the_command_line_prints_or_exits() -> None:
    for path in modules():
        if top(path) in ("cli", "__main__") or path.name == "build.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "exit", "sys.exit", "quit"), f"{path}:{node.lineno}"


def test_the_public_names_are_those_of_all_and_importing_them_is_light() -> None:
    public = {
        n
        for n in vars(visualsearch)
        if not n.startswith("_") and not isinstance(vars(visualsearch)[n], type(sys))
    }
    assert public == set(visualsearch.__all__)
    code = f"import visualsearch, sys; print(sorted(set(sys.modules) & {HEAVY!r}))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_no_module_names_a_place_of_the_machine_it_was_written_on() -> None:
    for path in modules():
        text = path.read_text(encoding="utf-8")
        assert "/work/" not in text, path
        assert "/root/" not in text, path
