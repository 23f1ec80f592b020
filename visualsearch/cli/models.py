"""`visualsearch models`: the encoders that can be asked for."""

from __future__ import annotations

from dataclasses import asdict

import typer

from .common import AsJson, emit, note


def models(as_json: AsJson = False) -> None:
    """List the bundled model and the recommended open_clip models with licence, size and published scores.

    Any other open_clip model works too: `--model ARCHITECTURE/TAG`, a checkpoint's path, or `hf-hub:ORG/NAME`.
    All open_clip models take `--precision`: fp32; bf16; fp16 on cards; int8 on CPUs (extra `accelerate`), calibrated on your
    own pictures; or auto, the fastest on your processor of those that agree with fp32. Vectors of all precisions of a model
    can be in one index.

    Example: `visualsearch models --json`
    """
    import tomllib

    from ..encoders.registry import bundled_name, folder_names, recommended
    from ..resources import models_dir

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
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("name", "open_clip", "for", "licence", "M params", "dim", "px", "ImageNet %"):
        table.add_column(name, overflow="fold")
    for folder in folder_names():
        card = tomllib.loads((models_dir() / folder / "model.toml").read_text(encoding="utf-8"))
        use = "bundled: the default, no download" if folder == bundled_name() else "ships with the package"
        sees = "pictures and words" if "text" in card else "pictures only"
        table.add_row(
            folder, "-", f"{use}; {sees}", card["license"], "", str(card["dim"]), str(card["image_size"]), ""
        )
    for e in entries:
        licence = f"{e.license} (research only)" if e.research_only else e.license
        size = f"{e.image_params + e.text_params:,.0f}"
        table.add_row(
            e.name,
            f"{e.architecture}/{e.tag}",
            e.purpose,
            licence,
            size,
            str(e.dim),
            str(e.image_size),
            f"{e.imagenet:.1f}",
        )
    Console().print(table)
    note(
        "open_clip models need: pip install 'visualsearch[clip]'. Scores: ImageNet-1k zero-shot top-1 as published."
        " Faster on CPUs: pip install 'visualsearch[clip,accelerate]'."
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(models)
