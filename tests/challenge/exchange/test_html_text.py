"""Pages in HTML keep what they say."""

from __future__ import annotations

import pytest

from sigma68.challenge.exchange.html_text import html_to_markdown


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h2>A &amp; B</h2>x", "## A & B\n\nx"),
        ("a<br>b", "a\nb"),
        ("<ul><li>one<li>two</ul>", "- one\n- two"),
        ("<ol><li>one</li><li>two</li></ol>", "1. one\n2. two"),
        ("<a href='https://a.org/x'>here</a>", "[here](https://a.org/x)"),
        ("<a href='javascript:alert(1)'>here</a>", "here"),
        ("<a href='https://a.org/)[x](y'>here</a>", "here"),
        ("<script>alert(1)</script>a<style>b{}</style>", "a"),
        ("<iframe src=x><p>inside</p></iframe>a", "a"),
        ("<img src=x onerror=alert(1)>a", "a"),
        ("&lt;script&gt; *a* _b_ [c]", r"\<script\> \*a\* \_b\_ \[c\]"),
        ("<pre>x = 1\n  y</pre>", "```\nx = 1\n  y\n```"),
        ("<table><tr><th>A</th></tr><tr><td>1</td></tr></table>", "| A |\n| --- |\n| 1 |"),
        ("<p>unclosed <b>bold", "unclosed **bold"),
        ("</ul></a></td>a", "|a"),
    ],
)
def test_html_becomes_markdown(html: str, text: str) -> None:
    assert html_to_markdown(html).strip() == text
