"""A simulated population over an index's own pins, with its truth beside it.

>>> import visualsearch as vs
>>> from visualsearch.world import World, WorldSettings, simulate
>>> index = vs.open("pins.index")                                              # doctest: +SKIP
>>> simulate(index, WorldSettings(people=1000, days=30, seed=7))               # doctest: +SKIP
>>> world = World.make(index, people=1000, seed=7)                             # doctest: +SKIP
>>> events = world.respond("sim-7-000042", hits.ids)                           # doctest: +SKIP
"""

from .attacks import Attack
from .deeds import Deeds, deeds
from .pins import Pins, read_pins
from .reactions import Lists, Reactions, save_chances
from .settings import NOTICE, PREFIX, WorldSettings
from .simulate import WorldReport, remove_world, simulate
from .tastes import Tastes, make_tastes
from .truth import FOLDER, read_manifest
from .visits import Visits
from .world import Responses, Served, World

__all__ = [
    "FOLDER",
    "NOTICE",
    "PREFIX",
    "Attack",
    "Deeds",
    "Lists",
    "Pins",
    "Reactions",
    "Responses",
    "Served",
    "Tastes",
    "Visits",
    "World",
    "WorldReport",
    "WorldSettings",
    "deeds",
    "make_tastes",
    "read_manifest",
    "read_pins",
    "remove_world",
    "save_chances",
    "simulate",
]
