"""What a client wants to read: https://www.rfc-editor.org/rfc/rfc9110#name-accept."""


def prefers_html(accept: str) -> bool:
    """Whether the Accept header prefers HTML to JSON. Browsers do; curl's `*/*` prefers neither, so it gets JSON."""
    weights = dict(_weighted(item) for item in accept.split(","))
    everything = weights.get("*/*", 0.0)
    html = weights.get("text/html", weights.get("text/*", everything))
    json = weights.get("application/json", weights.get("application/*", everything))
    return html > json


def _weighted(item: str) -> tuple[str, float]:
    """A media type and its weight. A weight that cannot be read counts as none."""
    name, *parameters = (part.strip().lower() for part in item.split(";"))
    weight = next((value for key, _, value in (it.partition("=") for it in parameters) if key.strip() == "q"), "1")
    try:
        return name, float(weight)
    except ValueError:
        return name, 0.0
