"""The records of people that the people's own tests use."""

from ..people.conftest import clock, lite, opened, people, pins, server

__all__ = ["clock", "lite", "opened", "people", "pins", "server"]
