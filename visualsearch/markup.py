"""HTML of strangers, read in time that grows with its length alone.

The standard library's reader looks at the rest of the text anew for each mark that is never closed, and gives up on some
damage. Here both are bounded: what a browser would pass over is passed over.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

PIECE = 1 << 15
LONGEST = 1 << 19
"""Characters that one tag, comment or script may have; a longer one is passed over."""
_LONG_NUMBER = re.compile(r"(&#[0-9]{100})[0-9]+")  # no character has it, and Python reads no number so long


def as_text(data: bytes, encoding: str) -> str | None:
    """The text of bytes, damage replaced; None where nothing decodes by that name."""
    try:
        return data.decode(encoding, "replace")
    except (LookupError, UnicodeError):  # such as hex, idna or undefined, which are no encodings of text
        return None


class Markup(HTMLParser):
    """Reads HTML by the handlers of the standard library's reader. `most` bounds tags with their attributes, comments and the
    like, all together; what follows is left out, and `full` says so.
    """

    most: int | None = None

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.taken = 0

    @property
    def full(self) -> bool:
        """Whether the page has more than was read."""
        return self.most is not None and self.taken > self.most

    def feed(self, data: str) -> None:
        """Read some more of a page."""
        data = _LONG_NUMBER.sub(r"\1", data)
        at = 0
        while at < len(data) and not self.full:
            size = max(PIECE, len(self.rawdata))  # a mark that is still open is looked at anew each time
            super().feed(data[at : at + size])
            at += size
            if len(self.rawdata) > LONGEST:
                self.rawdata = ""

    def close(self) -> None:
        """Read the rest, unless it is a mark that the page never closed."""
        if not self.full and not self.rawdata.startswith("<") and not self.cdata_elem:
            super().close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that opens; readers call this one first."""
        self.taken += 1 + len(attrs)

    def parse_endtag(self, i: int) -> int:
        """A tag that closes, counted."""
        self.taken += 1
        return super().parse_endtag(i)

    def parse_comment(self, i: int, report: bool = True) -> int:
        """A comment, counted."""
        self.taken += 1
        return super().parse_comment(i, report)

    def parse_html_declaration(self, i: int) -> int:
        """A declaration, counted."""
        self.taken += 1
        return super().parse_html_declaration(i)

    def parse_pi(self, i: int) -> int:
        """An instruction, counted."""
        self.taken += 1
        return super().parse_pi(i)

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """A marked section, which HTML has none of: a comment up to the next `>`, as browsers have it."""
        return self.parse_bogus_comment(i, report)
