"""Turns the Markdown of a reply into HTML that is safe to show: a list of allowed elements, no images, no scripts."""

import nh3
from markdown_it import MarkdownIt

MAX_RENDERED_CHARS = 16_000
"""Longest text that is rendered, in characters: as long as the longest message. The worst one takes half a second."""
MAX_RENDERINGS = 4
"""Largest number of requests whose texts are rendered at once, each in a thread. They share what one core can do."""
HEADING_OFFSET = 2
"""How many levels the headings of a reply are below the page's own heading, for those who read by headings."""

_ELEMENTS = {
    *("a", "blockquote", "br", "code", "em", "hr", "li", "ol", "p", "pre", "s", "strong", "ul"),
    *("h3", "h4", "h5", "h6", "table", "tbody", "td", "th", "thead", "tr"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "code": {"class"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto"}

_markdown = (
    MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")
)


def rendered(text: str) -> str | None:
    """The text as HTML; None if it is too long to be rendered, and is to be shown as it is.

    Markdown's own HTML is switched off, and whatever comes out is cleaned all the same. Links open elsewhere.
    """
    if len(text) > MAX_RENDERED_CHARS:
        return None
    tokens = _markdown.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + HEADING_OFFSET, 6)}"
    return nh3.clean(
        _markdown.renderer.render(tokens, _markdown.options, {}),
        tags=_ELEMENTS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="noopener noreferrer",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )
