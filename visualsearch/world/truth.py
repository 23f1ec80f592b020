"""The truth beside a world: what no record of real people could say."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from visualsearch.errors import NotAnIndexError
from visualsearch.storage import storage_error

from . import tables
from .generator import Day, totals, unseen
from .population import AGE_BANDS, LEVELS, REGIONS, ROLES, Int8
from .reactions import RATES, curve
from .rows import CAUSES, KINDS, chosen
from .scene import Scene
from .settings import NOTICE, WorldSettings

FOLDER = "world.truth"
MANIFEST = "manifest.json"
WRITING, COMPLETE, REMOVING = "writing", "complete", "removing"
VERSION = 1


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of the world in a folder, or None. Raises NotAnIndexError where it is damaged."""
    path = folder / FOLDER / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.get("simulated") is not True:
            raise ValueError("it is no manifest of a world")
        return found
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, OSError) as error:
        raise NotAnIndexError(
            f"cannot read {path}", str(error), "Restore it from a copy; it says who is simulated"
        ) from error


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write it so that it is there whole or not at all."""
    path = folder / FOLDER / MANIFEST
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".tmp")
        aside.write_text(_text(manifest), encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise storage_error(path, error) from error


def remove_truth(folder: Path) -> None:
    """Delete the truth, the manifest last."""
    place = folder / FOLDER
    for path in sorted(place.glob("*"), key=lambda p: p.name == MANIFEST):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    place.rmdir()


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, default=str) + "\n"


class TruthSink:
    """Writes the truth while a world runs."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene, self.folder = scene, folder
        self.place = folder / FOLDER
        self._planned = scene.people.ends.copy()
        self._purchases = tables.Stream(self.place / "purchases.parquet")
        self._promoted = tables.Stream(self.place / "promoted.parquet")
        self._views = tables.Stream(self.place / "days.parquet")
        self._bursts: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self._caused = np.zeros((len(scene.shops.campaigns) + 1, len(CAUSES)))

    def begin(self) -> None:
        """What is known before anything happens."""
        scene = self.scene
        self._json("tastes", _tastes(scene))
        self._json("examination", curve())
        self._json("reactions", RATES)
        self._json("calendar", scene.times.truth())
        self._json("trends", [asdict(trend) for trend in scene.times.trends])
        self._json("campaigns", scene.shops.truth())
        tables.write(self.place / "persons.parquet", _persons(scene))
        tables.write(self.place / "pins.parquet", _pins(scene))
        tables.write(self.place / "holdouts.parquet", _holdouts(scene))

    def day(self, day: Day) -> None:
        """A day's truth: purchases with their causes, promoted slots, bursts."""
        scene, events = self.scene, day.events
        self.counts.update(totals(events))
        hidden = unseen(scene, events["person"])
        self.counts["kept out by consent"] += int(hidden.sum())
        self.counts["saves"] += sum(len(each) for each in day.saves)
        self._bursts += [burst.summary(scene, tables.keys_of(scene)) for burst in day.bursts]
        at = np.flatnonzero(events["kind"] == KINDS.index("purchase"))
        self._purchases.add(_purchases(scene, day, at))
        rows = chosen(events, at)
        np.add.at(self._caused, (rows["campaign"], rows["cause"]), rows["value"])
        at = np.flatnonzero((events["campaign"] >= 0) & (events["kind"] == KINDS.index("impression")))
        self._promoted.add(_promoted(scene, chosen(events, at)))
        if day.number >= 0:
            self._views.add(_day(scene, day))

    def end(self) -> dict[str, Any]:
        """What is known when all is over; the manifest's part."""
        scene = self.scene
        for each in (self._purchases, self._promoted, self._views):
            each.close()
        self._json("bursts", self._bursts)
        self._json("effects", self._effects())
        tables.write(self.place / "interests.parquet", tables.interests_table(scene, self._planned))
        files = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.place.iterdir())
            if path.is_file() and path.name != MANIFEST
        }
        return {"files": files, "counts": dict(sorted(self.counts.items()))}

    def _effects(self) -> list[dict[str, Any]]:
        """What each campaign truly caused in the whole world, and what would have been bought anyway."""
        found = []
        everybody = np.arange(len(self.scene.people))
        for number, campaign in enumerate(self.scene.shops.campaigns):
            held = self.scene.shops.held_out(everybody, np.full(len(everybody), number))
            values = {name: round(float(v), 2) for name, v in zip(CAUSES, self._caused[number], strict=True)}
            found.append(
                {
                    "campaign": campaign.name,
                    "site": campaign.site,
                    "held_out": int(held.sum()),
                    "value": values,
                }
            )
        return found

    def _json(self, name: str, value: Any) -> None:
        path = self.place / f"{name}.json"
        try:
            path.write_text(_text(value), encoding="utf-8")
        except OSError as error:
            raise storage_error(path, error) from error


def manifest_of(scene: Scene, state: str, **more: Any) -> dict[str, Any]:
    """What a world's manifest says."""
    settings = scene.settings
    return {
        "simulated": True,
        "notice": NOTICE,
        "version": VERSION,
        "state": state,
        "settings": settings.to_dict(),
        "pins": scene.pins.fingerprint,
        "first_day": tables.day_name(scene, 0),
        "last_day": tables.day_name(scene, settings.days - 1),
        "person_keys": f"sim-{settings.seed}-",
        **more,
    }


def settings_of(manifest: Mapping[str, Any]) -> WorldSettings:
    """The settings that a manifest holds."""
    return WorldSettings.from_dict(manifest["settings"])


# -- tables ----------------------------------------------------------------------------------------------------------
def _tastes(scene: Scene) -> dict[str, Any]:
    tastes = scene.tastes
    return {
        "clusters": [
            {"cluster": number, "name": name, "goes_with": tastes.goes_with[number].tolist()}
            for number, name in enumerate(tastes.cluster_names)
        ],
        "tastes": [
            {"taste": number, "cluster": int(tastes.cluster_of[number]), "name": name}
            for number, name in enumerate(tastes.names)
        ],
    }


def _persons(scene: Scene) -> Any:
    import pyarrow as pa

    people = scene.people

    def words(values: Int8, names: tuple[str, ...]) -> Any:
        return pa.array([names[number] for number in values.tolist()])

    return pa.table(
        {
            "person": pa.array([tables.keys_of(scene)(number) for number in range(len(people))]),
            "role": words(people.role, ROLES),
            "consent": words(people.consent, LEVELS),
            "region": words(people.region, REGIONS),
            "age_band": words(people.age, AGE_BANDS),
            "sessions_per_day": pa.array(people.activity),
            "style": pa.array(people.style.tolist(), pa.list_(pa.float32())),
        }
    )


def _pins(scene: Scene) -> Any:
    import pyarrow as pa

    tastes, shops, published = scene.tastes, scene.shops, scene.times.published
    return pa.table(
        {
            "pin": pa.array(scene.pins.ids),
            "cluster": pa.array(tastes.cluster),
            "taste": pa.array(tastes.taste),
            "published_day": pa.array(published, mask=published <= -1000),
            "appeal": pa.array(shops.appeal),
            "price": pa.array(shops.price, mask=np.isnan(shops.price)),
            "site": pa.array([shops.sites[number] for number in shops.site.tolist()]),
        }
    )


def _holdouts(scene: Scene) -> Any:
    import pyarrow as pa

    everybody = np.arange(len(scene.people))
    persons: list[str] = []
    names: list[str] = []
    key = tables.keys_of(scene)
    for number, campaign in enumerate(scene.shops.campaigns):
        held = np.flatnonzero(scene.shops.held_out(everybody, np.full(len(everybody), number)))
        persons += [key(int(who)) for who in held]
        names += [campaign.name] * len(held)
    return pa.table({"campaign": pa.array(names, pa.string()), "person": pa.array(persons, pa.string())})


def _purchases(scene: Scene, day: Day, at: Any) -> Any:
    import pyarrow as pa

    rows = chosen(day.events, at)
    campaigns = scene.shops.campaigns
    return pa.table(
        {
            "event_id": pa.array([tables.event_id(scene, day.number, int(n)) for n in at], pa.string()),
            "person": pa.array([tables.keys_of(scene)(int(who)) for who in rows["person"]], pa.string()),
            "pin": pa.array([scene.pins.ids[pin] for pin in rows["pin"].tolist()], pa.string()),
            "at": pa.array(rows["at"]).cast(pa.timestamp("ms", "UTC")),
            "value": pa.array(rows["value"]),
            "cause": pa.array([CAUSES[cause] for cause in rows["cause"].tolist()], pa.string()),
            "campaign": pa.array(
                [campaigns[n].name if n >= 0 else None for n in rows["campaign"].tolist()], pa.string()
            ),
        }
    )


def _promoted(scene: Scene, rows: Any) -> Any:
    import pyarrow as pa

    campaigns = scene.shops.campaigns
    return pa.table(
        {
            "answer": pa.array([tables.answer_name(scene, int(n)) for n in rows["answer"]], pa.string()),
            "slot": pa.array(rows["slot"]).cast(pa.int32()),
            "person": pa.array([tables.keys_of(scene)(int(who)) for who in rows["person"]], pa.string()),
            "pin": pa.array([scene.pins.ids[pin] for pin in rows["pin"].tolist()], pa.string()),
            "campaign": pa.array([campaigns[n].name for n in rows["campaign"].tolist()], pa.string()),
            "at": pa.array(rows["at"]).cast(pa.timestamp("ms", "UTC")),
        }
    )


def _day(scene: Scene, day: Day) -> Any:
    """The demand of a day by region and cluster."""
    import pyarrow as pa

    asked = scene.times.demand(day.number)
    region, cluster = np.nonzero(np.ones(asked.shape, bool))
    return pa.table(
        {
            "day": pa.array([tables.day_name(scene, day.number)] * len(region)),
            "region": pa.array([REGIONS[number] for number in region.tolist()]),
            "cluster": pa.array(cluster),
            "demand": pa.array(asked[region, cluster]),
        }
    )
