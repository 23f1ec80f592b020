"""Draw Sweet Home 3D's furniture from several sides: named things of a household, seen like photographs of products.

Reads the furniture libraries of Debian's sweethome3d-furniture (CC-BY 3.0 and CC0) and writes PNG files with transparent ground,
LIBRARY/NUMBER-SIDE.png, and things.json. Finished things are not drawn again. Needs vtk (PyPI) and libosmesa6 (Debian).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from store import Pixels

LIBRARIES = Path("/usr/share/sweethome3d/furniture")
SIDES, SIZE, SHARPER = 9, 192, 2  # drawn `SHARPER` times as large and shrunk


@dataclass(frozen=True)
class Thing:
    key: str  # LIBRARY/NUMBER
    name: str
    category: str
    creator: str
    model: str  # its OBJ file in the library
    size: tuple[float, float, float]  # width, height, depth
    rotation: tuple[float, ...]  # (9,), rows


def things_of(library: Path) -> list[Thing]:
    """What a .sh3f file holds, by its PluginFurnitureCatalog.properties."""
    with zipfile.ZipFile(library) as archive:
        text = archive.read("PluginFurnitureCatalog.properties").decode("unicode_escape")
    rows: dict[int, dict[str, str]] = {}
    for field, number, value in re.findall(r"^(\w+)#(\d+)=(.*)$", text, re.M):
        rows.setdefault(int(number), {})[field] = value.strip()
    unit = "1 0 0 0 1 0 0 0 1"
    return [
        Thing(
            f"{library.stem}/{number}", row["name"], row["category"],
            row.get("creator", ""), row["model"].lstrip("/"),
            (float(row["width"]), float(row["height"]), float(row["depth"])),
            tuple(map(float, row.get("modelRotation", unit).split())),
        )
        for number, row in sorted(rows.items())
        if row["model"].endswith(".obj") and row["category"] != "Characters"  # whose skins are not drawn
    ]  # fmt: skip


def sides(key: str) -> list[tuple[float, float]]:
    """Azimuth and elevation in degrees, 0 from the front: seven from before, two from behind, seeded by the key."""
    rng = np.random.default_rng(list(key.encode()))
    back = 1 + SIDES // 5
    turns = np.linspace(-75, 75, SIDES - back) + rng.uniform(-10, 10, SIDES - back)
    turns = np.concatenate([turns, rng.uniform(110, 250, back)])
    return [(float(turn), float(rng.uniform(3, 40))) for turn in turns]


def scene_of(model: Path) -> tuple[Any, Any]:
    """VTK's window and renderer with an OBJ file in it, on transparent ground."""
    import vtk

    importer = vtk.vtkOBJImporter()
    importer.SetFileName(str(model))
    material = re.search(r"^mtllib\s+(.+?)\s*$", model.read_text("latin1"), re.M)
    if material and (model.parent / material[1]).exists():
        importer.SetFileNameMTL(str(model.parent / material[1]))
        importer.SetTexturePath(str(model.parent))
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetAlphaBitPlanes(1)
    window.SetMultiSamples(0)
    window.SetSize(SIZE * SHARPER, SIZE * SHARPER)
    importer.SetRenderWindow(window)
    importer.Update()
    scene = window.GetRenderers().GetFirstRenderer()
    scene.SetBackgroundAlpha(0.0)
    return window, scene


def place(scene: Any, thing: Thing) -> None:
    """Turn it upright, give it its proportions, centre it."""
    import vtk

    def matrix(values: np.ndarray) -> Any:
        out = vtk.vtkMatrix4x4()
        out.DeepCopy(values.ravel())
        return out

    turn, fit = np.eye(4), np.eye(4)
    turn[:3, :3] = np.reshape(thing.rotation, (3, 3))
    for actor in scene.GetActors():
        actor.SetUserMatrix(matrix(turn))
        look = actor.GetProperty()
        look.SetInterpolationToPhong()
        look.SetAmbient(0.25)
        look.SetAmbientColor(look.GetDiffuseColor())
    bounds = np.reshape(scene.ComputeVisiblePropBounds(), (3, 2))
    grow = np.array(thing.size) / max(thing.size) / np.maximum(bounds[:, 1] - bounds[:, 0], 1e-6)
    fit[range(3), range(3)], fit[:3, 3] = grow, -bounds.mean(1) * grow
    for actor in scene.GetActors():
        actor.SetUserMatrix(matrix(fit @ turn))


def light(scene: Any) -> None:
    """From above at the camera's left, more weakly from its right, and from behind."""
    import vtk

    scene.RemoveAllLights()
    for at, strength in (((-0.8, 1.4, 1.2), 0.75), ((1.2, 0.6, 0.9), 0.4), ((0, 0.5, -1.5), 0.35)):
        lamp = vtk.vtkLight()
        lamp.SetLightTypeToCameraLight()
        lamp.SetPosition(*at)
        lamp.SetFocalPoint(0, 0, 0)
        lamp.SetIntensity(strength)
        scene.AddLight(lamp)


def seen(window: Any) -> Pixels:
    """The window's picture, (SIZE, SIZE, 4) uint8."""
    import cv2
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.SetInputBufferTypeToRGBA()
    grab.ReadFrontBufferOff()
    grab.Update()
    flat = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
    full = flat.reshape(SIZE * SHARPER, SIZE * SHARPER, 4)[::-1].astype(np.float32)
    full[:, :, :3] *= full[:, :, 3:] / 255  # colours count by how much of them is there
    small = cv2.resize(full, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    small[:, :, :3] /= np.maximum(small[:, :, 3:] / 255, 1e-3)
    return np.clip(small + 0.5, 0, 255).astype(np.uint8)


def draw(model: Path, thing: Thing) -> list[Pixels]:
    """It from all sides."""
    window, scene = scene_of(model)
    place(scene, thing)
    light(scene)
    pictures = []
    for azimuth, elevation in np.radians(sides(thing.key)):
        camera = scene.GetActiveCamera()
        camera.SetViewAngle(28)
        camera.SetFocalPoint(0, 0, 0)
        camera.SetPosition(
            np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)
        )
        camera.SetViewUp(0, 1, 0)
        scene.ResetCamera()
        scene.ResetCameraClippingRange()
        pictures.append(seen(window))
    window.Finalize()
    return pictures


def finish(library: Path, out: Path, thing: Thing) -> str | None:
    """Draw one thing; what went wrong, or None."""
    from PIL import Image

    folder = PurePosixPath(thing.model).parent.as_posix() + "/"
    with tempfile.TemporaryDirectory() as work, zipfile.ZipFile(library) as archive:
        for name in archive.namelist():
            if name.startswith(folder):
                archive.extract(name, work)
        pictures = draw(Path(work) / thing.model, thing)
    if np.mean([p[:, :, 3].mean() for p in pictures]) < 3:
        return "hardly anything to see"
    last(out, thing).parent.mkdir(parents=True, exist_ok=True)
    for side, picture in reversed(list(enumerate(pictures))):
        Image.fromarray(picture).save(out / f"{thing.key}-{side}.png", compress_level=1)
    return None


def last(out: Path, thing: Thing) -> Path:
    """The file that is written last."""
    return out / f"{thing.key}-0.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--libraries", type=Path, default=LIBRARIES)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--thing", help="draw this one only: LIBRARY/NUMBER")
    arguments = parser.parse_args()
    libraries = sorted(arguments.libraries.glob("*.sh3f"))
    jobs = [(library, thing) for library in libraries for thing in things_of(library)]
    if arguments.thing:
        library, thing = next(job for job in jobs if job[1].key == arguments.thing)
        sys.exit(finish(library, arguments.out, thing))

    def alone(thing: Thing) -> str:
        """In a process of its own: a few models are too much for VTK."""
        try:
            run = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--thing", thing.key],
                capture_output=True, text=True, check=False, timeout=120,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "not drawn in two minutes"
        if run.returncode < 0:
            return f"signal {-run.returncode} ended VTK"
        return run.stderr.strip().rpartition("\n")[2] if run.returncode else ""

    arguments.out.mkdir(parents=True, exist_ok=True)
    about = {t.key: [t.name, t.category, t.creator] for _, t in jobs}
    (arguments.out / "things.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    left = [thing for _, thing in jobs if not last(arguments.out, thing).exists()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for thing, problem in zip(left, pool.map(alone, left), strict=True):
            if problem:
                print(f"{thing.key} {thing.name}: {problem}", flush=True)


if __name__ == "__main__":
    main()
