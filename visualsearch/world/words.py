"""Titles of simulated boards."""

from __future__ import annotations

PLAIN = ("{}", "{}", "{}", "{} ideas", "Lovely {}", "{} I like", "More {}", "{} to look at")
PROJECTS = (
    "Birthday theme: {}",
    "Gift ideas: {}",
    "Party theme: {}",
    "Wedding theme: {}",
    "Kitchen plans: {}",
    "New room: {}",
    "{} project",
)
DREAMS = ("Dream wedding: {}", "Dream kitchen: {}", "One day: {}", "If I had a house: {}")
"""Leisure that only looks like a project: it names an occasion and never ends."""
GENERAL = ("Nice things", "Favourites", "Ideas", "For later", "Saved", "Mixed")
NAMELESS = ("Collection", "Inspiration", "Finds", "Moods", "Looks", "Scrapbook")


def titled(pattern: str, name: str) -> str:
    """A board's title: the pattern with the name in it, beginning with a capital letter."""
    text = pattern.format(name)
    return text[:1].upper() + text[1:]
