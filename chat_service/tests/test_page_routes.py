"""The page's files and headers, what `/` gives to whom, and the rendering of Markdown."""

import asyncio

import httpx
import pytest

from models import MAX_RENDERED_TEXTS, MAX_RENDERED_TOTAL_CHARS
from page.accept import prefers_html
from page.files import FOLDER
from page.rendering import MAX_RENDERED_CHARS, MAX_RENDERINGS, rendered
from tests.asgi_calls import settled

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
"""What a browser accepts for a page."""


@pytest.mark.parametrize(
    ("accept", "is_html"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("application/json;q=0.5, text/html", True),
        ("text/*", True),
        ("*/*", False),
        ("", False),
        ("application/json", False),
        ("application/json, text/plain, */*", False),
        ("text/html;q=0.5, application/json", False),
        ("text/html, application/json", False),
        ("text/html;q=0, */*", False),
        ("text/html;q=x", False),
        ("*/*;q=0.1, TEXT/HTML ; Q = 0.2", True),
    ],
)
def test_who_prefers_html(accept: str, is_html: bool) -> None:
    """Only a client that gives HTML a greater weight than JSON gets the page."""
    assert prefers_html(accept) is is_html


async def test_root_is_the_page_for_a_browser(client: httpx.AsyncClient) -> None:
    """A browser gets the page, a program the greeting, and caches are told that both have one address."""
    page = await client.get("/", headers={"accept": BROWSER})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!doctype html>")
    greeting = await client.get("/", headers={"accept": "*/*"})
    assert list(greeting.json()) == ["message"]
    assert all("Accept" in response.headers["vary"].split(", ") for response in (page, greeting))


async def test_every_file_of_the_page_has_its_headers(client: httpx.AsyncClient) -> None:
    """Each file, the page itself included, may load nothing from elsewhere and be framed by nobody."""
    paths = ["/", *(f"/page/{file.name}" for file in FOLDER.iterdir())]
    assert len(paths) > 5
    for path in paths:
        response = await client.get(path, headers={"accept": BROWSER})
        policy = dict(item.split(" ", 1) for item in response.headers["content-security-policy"].split("; "))
        assert (policy["default-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'",) * 3
        assert {policy[it] for it in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
        assert "unsafe" not in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"


async def test_cached_file_is_checked_again(client: httpx.AsyncClient) -> None:
    """A browser that has a file gets 304."""
    first = await client.get("/page/app.js")
    again = await client.get("/page/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (first.headers["cache-control"], again.status_code) == ("no-cache", 304)


@pytest.mark.parametrize("value", ["bytes=x", "bytes=99999999-", "bytes=0-1"])
@pytest.mark.parametrize("path", ["/", "/page/app.js", "/docs/assets/swagger-ui.css"])
async def test_file_is_sent_whole(client: httpx.AsyncClient, path: str, value: str) -> None:
    """A range of a file is not served, and a bad one is no error."""
    whole = await client.get(path, headers={"accept": BROWSER})
    response = await client.get(path, headers={"accept": BROWSER, "range": value})
    assert (response.status_code, response.content) == (200, whole.content)


@pytest.mark.parametrize("path", ["/page/nothing.js", "/page/", "/page/%2e%2e/rendering.py", "/page/..%2frendering.py"])
async def test_only_the_files_of_the_page_are_served(client: httpx.AsyncClient, path: str) -> None:
    """Anything else is not found, in the common error shape."""
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_the_page_names_only_its_own_files() -> None:
    """No file has an inline script or style, or names an address elsewhere."""
    for file in FOLDER.iterdir():
        text = file.read_text(encoding="utf-8")
        assert "://" not in text.replace("http://www.w3.org/2000/svg", ""), file
        if file.suffix == ".html":
            assert "style=" not in text
            assert text.count("<script") == text.count('<script type="module" src="page/')


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**a** *b* `c` ~~d~~", "<p><strong>a</strong> <em>b</em> <code>c</code> <s>d</s></p>\n"),
        ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
        ("# a", "<h3>a</h3>\n"),
        ("###### a", "<h6>a</h6>\n"),
        ("```py\nx < 1\n```", '<pre><code class="language-py">x &lt; 1\n</code></pre>\n'),
        ("3. a", '<ol start="3">\n<li>a</li>\n</ol>\n'),
        ("[a](https://b.test)", '<p><a href="https://b.test" target="_blank" rel="noopener noreferrer">a</a></p>\n'),
        ("<b>a</b>", "<p>&lt;b&gt;a&lt;/b&gt;</p>\n"),
        ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"),
        ("[a](javascript:alert(1))", "<p>[a](javascript:alert(1))</p>\n"),
        ("[a](data:text/html,b)", "<p>[a](data:text/html,b)</p>\n"),
        ("[a](//b.test)", '<p><a href="//b.test" target="_blank" rel="noopener noreferrer">a</a></p>\n'),
    ],
)
def test_markdown_is_rendered_and_html_is_text(markdown: str, html: str) -> None:
    """Markdown becomes allowed elements, headings stay below the page's own; HTML and scripts stay text."""
    assert rendered(markdown) == html


@pytest.mark.parametrize("markdown", ["![a](https://b.test/c.png)", "![a][b]\n\n[b]: https://b.test/c.png"])
def test_images_are_links(markdown: str) -> None:
    """No image is loaded: its address could carry a conversation away."""
    html = rendered(markdown) or ""
    assert "<img" not in html
    assert 'href="https://b.test/c.png"' in html


def test_table_has_no_inline_style() -> None:
    """The policy forbids inline styles, so the alignment of a table is left out."""
    assert rendered("|a|\n|:-:|\n|b|") == (
        "<table>\n<thead>\n<tr>\n<th>a</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>b</td>\n</tr>\n</tbody>\n</table>\n"
    )


async def test_texts_are_rendered_in_their_order(client: httpx.AsyncClient) -> None:
    """A text that is too long to be rendered has null in its place."""
    texts = ["*a*", "x" * (MAX_RENDERED_CHARS + 1), "`b`"]
    response = await client.post("/render", json={"texts": texts})
    assert response.json() == {"html": ["<p><em>a</em></p>\n", None, "<p><code>b</code></p>\n"]}


@pytest.mark.parametrize(
    "texts",
    [
        ["x" * (MAX_RENDERED_TOTAL_CHARS + 1)],
        ["x" * (MAX_RENDERED_TOTAL_CHARS // 2 + 1)] * 2,
        [""] * (MAX_RENDERED_TEXTS + 1),
    ],
)
async def test_rendered_texts_are_bounded(client: httpx.AsyncClient, texts: list[str]) -> None:
    """More than the bound, in one text or in all together, gets 422."""
    assert (await client.post("/render", json={"texts": texts})).status_code == 422


async def test_renderings_at_once_are_bounded(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound a request gets 503 at once."""
    started, go_on = 0, asyncio.Event()

    async def slow(_work: object) -> list[str]:
        nonlocal started
        started += 1
        await go_on.wait()
        return []

    monkeypatch.setattr("api.page_routes.run_in_threadpool", slow)
    body = {"texts": ["a"]}
    running = [asyncio.create_task(client.post("/render", json=body)) for _ in range(MAX_RENDERINGS)]
    await settled()
    assert started == MAX_RENDERINGS
    refused = await client.post("/render", json=body)
    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_requests")
    go_on.set()
    assert {(await it).status_code for it in running} == {200}


async def test_without_identity_nobody_is_known(client: httpx.AsyncClient) -> None:
    """The page learns that it has to ask for a name."""
    assert (await client.get("/whoami")).json() == {"identity": "off", "user_id": None, "name": None}
