"""Whether a model's weights are on this machine already: the name that an index records must not start a download."""

from __future__ import annotations

from pathlib import Path

from visualsearch.errors import EncoderError

from .names import Target

_HUB_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)


def check_here(target: Target) -> None:
    """Raise EncoderError for a model that would have to be downloaded."""
    if target.family != "openclip" or target.checkpoint is not None or is_here(target):
        return
    raise EncoderError(
        f"the weights of {target.name} are not on this machine",
        "only an index asks for them, and an index starts no download",
        f'If you trust it, name the model yourself: --model "{target.name}", in Python encoder="{target.name}"',
    )


def is_here(target: Target) -> bool:
    """Whether the weights of an open_clip model lie in the caches that open_clip downloads to."""
    if target.architecture.startswith("local-dir:"):
        return True
    if target.architecture.startswith("hf-hub:"):
        return _from_hub(target.architecture.removeprefix("hf-hub:").partition("@")[0], _HUB_FILES)
    try:
        import open_clip
    except ModuleNotFoundError:
        return True  # nothing can be downloaded without it; loading says what is missing
    published = open_clip.get_pretrained_cfg(target.architecture, target.tag)
    if not published or "file" in published:
        return True  # loading says that there is no such tag
    hub, url = str(published.get("hf_hub", "")), str(published.get("url", ""))
    repository, _, name = hub.rpartition("/")
    if repository and _from_hub(repository, _alike(name) if name else _HUB_FILES):
        return True
    return bool(url) and (Path("~/.cache/clip").expanduser() / url.rpartition("/")[2]).is_file()


def _alike(name: str) -> tuple[str, ...]:
    """The files that open_clip takes for one: safetensors before others."""
    stem = name.rpartition(".")[0]
    return (f"{stem}.safetensors", *_HUB_FILES[:2], name)


def _from_hub(repository: str, names: tuple[str, ...]) -> bool:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ModuleNotFoundError:
        return False
    return any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)
