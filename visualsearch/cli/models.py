"""`visualsearch models`: the encoders that can be asked for."""

from __future__ import annotations

import shutil
import textwrap
from dataclasses import asdict

import typer

from .common import AsJson, emit, note


def models(as_json: AsJson = False) -> None:
    """List the bundled model and the recommended open_clip models with licence, size and published scores.

    Any other open_clip model works too: `--model ARCHITECTURE/TAG`, a checkpoint's path, or `hf-hub:ORG/NAME`.
    All open_clip models take `--precision`: fp32, bf16, fp16 on GPUs, int8 on CPUs (extra `accelerate`), or auto. int8 is
    calibrated on your own pictures. auto is the fastest on your processor that agrees with fp32. One index can hold vectors of
    all precisions of a model.

    Example: `visualsearch models --json`
    """
    import tomllib

    from visualsearch.encoders import bundled_name, folder_names, recommended
    from visualsearch.resources import models_dir

    entries = recommended()
    if as_json:
        emit(
            {
                "bundled": bundled_name(),
                "shipped": folder_names(),
                "recommended": [asdict(e) for e in entries],
            }
        )
        return
    for folder in folder_names():
        card = tomllib.loads((models_dir() / folder / "model.toml").read_text(encoding="utf-8"))
        use = "the default, no download" if folder == bundled_name() else "ships with the package"
        sees = "pictures and words" if "text" in card else "pictures only"
        _show(folder, f"{use}; {sees}", f"{card['license']}, {card['dim']} numbers, {card['image_size']} px")
    for e in entries:
        licence = f"{e.license} (research only)" if e.research_only else e.license
        size = f"{e.image_params + e.text_params:,.0f} M parameters"
        _show(
            e.name,
            f"{e.purpose} ({e.architecture}/{e.tag})",
            f"{licence}, {size}, {e.dim} numbers, {e.image_size} px, ImageNet {e.imagenet:.1f} %",
        )
    note(
        "open_clip models need: pip install 'visualsearch[clip]'. Scores: ImageNet-1k zero-shot top-1 as published."
        " Faster on CPUs: pip install 'visualsearch[clip,accelerate]'."
    )


def _show(name: str, use: str, facts: str) -> None:
    """One model: its name, what it is for, and its figures, within the width of the terminal."""
    width = max(40, shutil.get_terminal_size((80, 24)).columns)
    print(name)
    for text in (use, facts):
        print(
            textwrap.fill(
                text, width, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
            )
        )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(models)
