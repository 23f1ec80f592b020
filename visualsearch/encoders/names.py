"""From what a user calls a model to what is loaded. torch is imported only where nothing else can tell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from visualsearch.errors import EncoderError, MissingExtraError, UnknownNameError, UsageError

from . import registry

CONFIG = "open_clip_config.json"
CHECKPOINTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".npz")
_SCHEMES = ("hf-hub:", "local-dir:")


@dataclass(frozen=True)
class Target:
    """What is to be loaded.

    `name` loads it again. `family` is a key of ENCODERS. `architecture` is a folder under models/, an
    open_clip architecture, "hf-hub:org/model" or "local-dir:/path"; `tag` a pretrained tag, `checkpoint` a
    local file.
    """

    name: str
    family: str
    architecture: str
    tag: str = ""
    checkpoint: Path | None = None


def resolve(name: str) -> Target:
    """The target of a name. Raises UnknownNameError, UsageError or EncoderError."""
    for rule in _RULES:
        target = rule(name)
        if target is not None:
            return target
    known = {
        "bundled",
        *registry.folder_names(),
        *(entry.name for entry in registry.recommended()),
        *architectures(),
    }
    remedy = "List the recommended ones with: visualsearch models"
    if not architectures():
        remedy += ". More open_clip architectures come with: pip install 'visualsearch[clip]'"
    raise UnknownNameError("model", name, known, remedy)


def architectures() -> set[str]:
    """The architectures open_clip knows, read from its folder of configurations; none when not installed."""
    module = sys.modules.get("open_clip")
    if module is not None:
        return set(module.list_models())  # has those added by add_model_config, too
    found = find_spec("open_clip")
    places = found.submodule_search_locations if found else None
    return {path.stem for place in places or () for path in Path(place, "model_configs").glob("*.json")}


def _bundled(name: str) -> Target | None:
    folder = registry.bundled_name() if name == "bundled" else name
    return Target(folder, "bundled", folder) if folder in registry.folder_names() else None


def _recommended(name: str) -> Target | None:
    entry = next((entry for entry in registry.recommended() if entry.name == name), None)
    return _tagged(entry.architecture, entry.tag) if entry else None


def _scheme(name: str) -> Target | None:
    scheme = next((scheme for scheme in _SCHEMES if name.startswith(scheme)), None)
    if scheme is None:
        return None
    rest = name.removeprefix(scheme)
    if not rest:
        raise UsageError(
            f"the model {name!r} is incomplete", f"nothing follows {scheme}", "Example: hf-hub:org/model"
        )
    if scheme == "hf-hub:":
        return Target(name, "openclip", name)
    return _folder(Path(rest))


def _path(name: str) -> Target | None:
    path = Path(name).expanduser()
    if path.is_dir() and (path / CONFIG).is_file():
        return _folder(path)
    if _with_architecture(name):
        return None
    if path.suffix.lower() not in CHECKPOINTS and not name.startswith(("/", "./", "../", "~")):
        return None
    if path.is_dir():
        return _folder(path)
    path = _file(path)
    if not (path.parent / CONFIG).is_file():
        raise UsageError(
            f"the architecture of {path} is not known",
            f"there is no {CONFIG} beside it",
            f'Name it before the path: "ViT-B-32:{path}"',
        )
    return Target(str(path), "openclip", f"local-dir:{path.parent}", checkpoint=path)


def _architecture(name: str) -> Target | None:
    clean = name.replace("/", "-")  # OpenAI wrote ViT-B/32
    if clean in architectures():
        return _with_recommended_tag(clean)
    found = _with_architecture(name)
    if found is None:
        return None
    architecture, rest = found
    if Path(rest).suffix.lower() in CHECKPOINTS or Path(rest).is_file():
        path = _file(Path(rest).expanduser())
        return Target(f"{architecture}:{path}", "openclip", architecture, checkpoint=path)
    return _tagged(architecture, rest)


_RULES: tuple[Callable[[str], Target | None], ...] = (_bundled, _recommended, _scheme, _path, _architecture)


def _with_architecture(name: str) -> tuple[str, str] | None:
    """("ViT-B-32", rest) of "ViT-B-32:rest" or "ViT-B-32/rest", where the first part is an architecture."""
    for separator in (":", "/"):
        for at in (index for index, letter in enumerate(name) if letter == separator):
            architecture = name[:at].replace("/", "-")
            if architecture in architectures() and name[at + 1 :]:
                return architecture, name[at + 1 :]
    return None


def _tagged(architecture: str, tag: str) -> Target:
    tag = tag.lower().replace("-", "_")  # open_clip reads tags so; one spelling gives one fingerprint
    return Target(f"{architecture}/{tag}", "openclip", architecture, tag=tag)


def _with_recommended_tag(architecture: str) -> Target:
    entry = next((entry for entry in registry.recommended() if entry.architecture == architecture), None)
    if entry is not None:
        return _tagged(architecture, entry.tag)
    tags = pretrained_tags(architecture)
    if len(tags) == 1:
        return _tagged(architecture, tags[0])
    if not tags:
        raise UsageError(
            f"{architecture} has no pretrained weights",
            "open_clip publishes none for this architecture",
            f'Give a checkpoint: "{architecture}:/path/to/weights.safetensors"',
        )
    raise UsageError(
        f"{architecture} has several sets of weights",
        f"open_clip has {', '.join(tags)}",
        f'Name one: "{architecture}/{tags[0]}"',
    )


def pretrained_tags(architecture: str) -> list[str]:
    """The pretrained tags open_clip has for an architecture. Imports open_clip, and with it torch."""
    try:
        from open_clip import list_pretrained_tags_by_model
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{architecture!r} needs {error.name or 'open_clip'}", "clip") from error
    return list(list_pretrained_tags_by_model(architecture))


def _folder(path: Path) -> Target:
    path = path.expanduser().resolve()
    if not (path / CONFIG).is_file():
        raise EncoderError(
            f"{path} is not an open_clip model folder",
            f"it has no {CONFIG}",
            "Check the path, or name the weights file",
        )
    files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in CHECKPOINTS]
    safe = [file for file in files if file.suffix == ".safetensors"]
    chosen = safe or files
    if len(chosen) != 1:
        listed = ", ".join(file.name for file in chosen) or "none"
        raise EncoderError(
            f"the weights in {path} are not clear",
            f"one file is expected, found: {listed}",
            "Name the weights file itself",
        )
    return Target(f"local-dir:{path}", "openclip", f"local-dir:{path}", checkpoint=chosen[0])


def _file(path: Path) -> Path:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise EncoderError(
            f"the checkpoint {path} cannot be loaded", "there is no such file", "Check the path"
        )
    return path
