"""Pages in HTML as Markdown: what they say stays, what they do goes.

Only text, headings, lists, tables, links, emphasis and code are taken over; scripts, styles and
whatever else a page may hold are left out. The result is text that nobody has to trust.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

__all__ = ["html_to_markdown"]

_SILENT: Final = {"script", "style", "head", "template", "noscript", "iframe", "object", "svg"}
_BLOCKS: Final = {"p", "div", "section", "article", "ul", "ol", "table", "blockquote", "header"}
_MARKS: Final = {"strong": "**", "b": "**", "em": "*", "i": "*", "code": "`", "tt": "`"}
_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>#|])")
_LINKS: Final = ("https://", "http://", "mailto:")
_DEEPEST: Final = 20


def html_to_markdown(html: str) -> str:
    """The text of a page in HTML, as Markdown with line ends of one kind."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    text = "".join(reader.parts)
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0
        self._verbatim = 0
        self._lists: list[int | None] = []
        self._links: list[str | None] = []
        self._cells = 0
        self._header = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self._write("\n\n" + "#" * int(tag[1]) + " ")
        elif tag == "li":
            self._item()
        elif tag in ("ul", "ol"):
            self._lists.append(1 if tag == "ol" else None)
            self._write("\n" if len(self._lists) > 1 else "\n\n")
        elif tag in _BLOCKS:
            self._write("\n\n")
        elif tag == "pre":
            self._verbatim += 1
            self._write("\n\n```\n")
        elif tag == "br":
            self._write("\n" if self._verbatim else "  \n")
        elif tag == "tr":
            self._cells, self._header = 0, False
            self._write("\n|")
        elif tag in ("td", "th"):
            self._cells += 1
            self._header = self._header or tag == "th"
            self._write(" ")
        elif tag == "a":
            self._open_link(dict(attrs).get("href") or "")
        elif tag in _MARKS and not self._verbatim:
            self._write(_MARKS[tag])

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(self._silent - 1, 0)
        elif tag in ("h1", "h2", "h3", "h4", "h5", "h6") or tag in _BLOCKS - {"ul", "ol"}:
            self._write("\n\n")
        elif tag in ("ul", "ol"):
            if self._lists:
                self._lists.pop()
            self._write("\n")
        elif tag == "pre":
            self._verbatim = max(self._verbatim - 1, 0)
            self._write("\n```\n\n")
        elif tag in ("td", "th"):
            self._write(" |")
        elif tag == "tr" and self._header:
            self._write("\n|" + " --- |" * self._cells)
        elif tag == "a":
            target = self._links.pop() if self._links else None
            self._write("" if target is None else f"]({target})")
        elif tag in _MARKS and not self._verbatim:
            self._write(_MARKS[tag])

    def handle_data(self, data: str) -> None:
        if self._verbatim:
            self._write(data.replace("```", "` ` `"))
            return
        text = re.sub(r"\s+", " ", data)
        if text == " " and (not self.parts or self.parts[-1].endswith("\n")):
            return
        self._write(_SPECIAL.sub(r"\\\1", text))

    def _write(self, text: str) -> None:
        if not self._silent:
            self.parts.append(text)

    def _item(self) -> None:
        depth = min(len(self._lists), _DEEPEST)
        number = self._lists[-1] if self._lists else None
        if number is not None:
            self._lists[-1] = number + 1
        mark = "- " if number is None else f"{number}. "
        self._write("\n" + "    " * max(depth - 1, 0) + mark)

    def _open_link(self, href: str) -> None:
        plain = "".join(href.split())
        is_safe = plain.startswith(_LINKS) and not re.search(r"[()<>\"']", plain)
        self._links.append(plain if is_safe else None)
        if is_safe:
            self._write("[")
