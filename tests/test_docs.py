"""The docs name files and tests that exist."""

import re
from pathlib import Path

import pytest

from tests.import_rules import ROOT

DOCS = sorted([*ROOT.glob("docs/*.md"), ROOT / "README.md", *ROOT.glob("C*.md"), ROOT / "SECURITY.md"])

_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
_TEST = re.compile(r"\btest_\w+")
_PATH = re.compile(
    r"`((?:agent_memory_service|chat_service|local_sidecar|harness|tests|bench|components|deploy|docs)/[\w./-]*)`"
)


@pytest.fixture(scope="module")
def known_tests() -> set[str]:
    """Every name of a test function or a test module in the repository."""
    files = [path for path in ROOT.rglob("test_*.py") if ".venv" not in path.parts]
    functions = {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))}
    return functions | {path.stem for path in files}


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.name)
def test_links_lead_to_files(doc: Path) -> None:
    """Each relative link, and each path of a part of the repository, is there; only `.env` is the reader's to make."""
    text = doc.read_text(encoding="utf-8")
    missing = [link for link in _LINK.findall(text) if not (doc.parent / link).exists()]
    missing += [path for path in _PATH.findall(text) if not path.endswith(".env") and not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.name)
def test_tests_that_a_doc_names_exist(doc: Path, known_tests: set[str]) -> None:
    """A test that holds a promise is there under the name that the docs give it."""
    assert set(_TEST.findall(doc.read_text(encoding="utf-8"))) - known_tests == set()
