"""Check a built site: every link leads somewhere, and no page loads anything from elsewhere.

`python tools/check_site.py FOLDER` prints what is wrong, one line each.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {("script", "src"), ("img", "src"), ("iframe", "src"), ("link", "href"), ("source", "src"), ("video", "src")}
FROM_ELSEWHERE = re.compile(
    r"""(?:url\(\s*["']?|@import\s+["']|(?:from|import|fetch\(|importScripts\(|Worker\()\s*\(?\s*["'])"""
    r"""(https?:)?//[^"')\s]+"""
)
CARRIES = "code="  # a fragment that is data: the program in a link to the playground


class Page(HTMLParser):
    """What a page links to, what it loads, and which places it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the attributes that are addresses or places."""
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.places.add(value)
            elif (tag, name) in LOADS:
                self.loads.append(value)
            elif (tag, name) == ("a", "href"):
                self.links.append(value)


def check(folder: Path) -> list[str]:
    """All mistakes of a site, in the order of its files."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    mistakes = []
    for path, page in pages.items():
        name = path.relative_to(folder)
        for address in page.loads:
            if urlsplit(address).scheme in ("http", "https") or address.startswith("//"):
                mistakes.append(f"{name} loads {address} from elsewhere")
            elif wrong := follow(path, address, pages):
                mistakes.append(f"{name} loads {address}: {wrong}")
        mistakes += [
            f"{name} links to {a}: {wrong}" for a in dict.fromkeys(page.links) if (wrong := follow(path, a, pages))
        ]
    for path in sorted(p for kind in ("*.css", "*.js", "*.html") for p in folder.rglob(kind)):
        text = path.read_text(encoding="utf-8")
        mistakes += [
            f"{path.relative_to(folder)} loads {found[0]} from elsewhere" for found in FROM_ELSEWHERE.finditer(text)
        ]
    return mistakes


def follow(path: Path, address: str, pages: dict[Path, Page]) -> str:
    """What is wrong with an address on a page; empty if it leads somewhere, or out of the site."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return "" if parts.scheme in ("https", "http", "mailto", "data") else f"unknown scheme {parts.scheme!r}"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "there is no such file"
    place = unquote(parts.fragment)
    if place and not place.startswith(CARRIES) and target in pages and place not in pages[target].places:
        return f"there is no place {place!r} on that page"
    return ""


if __name__ == "__main__":
    found = check(Path(sys.argv[1]).resolve())
    print("\n".join(found) or "Every link leads somewhere, and nothing is loaded from elsewhere.")
    sys.exit(bool(found))
