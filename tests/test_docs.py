"""The documentation holds together: every page is in the navigation, every link leads somewhere, every sample named is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
_NAV = re.compile(r"^\s+- .*: (\S+\.md)$", re.MULTILINE)
_SAMPLE = re.compile(r"samples/(\w+\.py)")


def _anchors(page: Path) -> set[str]:
    headings = _HEADING.findall(re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL))
    plain = (re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower() for heading in headings)
    return {re.sub(r"[\s]+", "-", text) for text in plain}


def test_every_page_is_in_the_navigation_once_and_nothing_else_is() -> None:
    named = _NAV.findall((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(named) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue                                     # the web is not asked in a test
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{target} in {page.name}"
        if anchor and found.suffix == ".md":
            assert anchor in _anchors(found), f"{target} in {page.name}"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.stem)
def test_samples_that_are_named_are_there(page: Path) -> None:
    for name in _SAMPLE.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / "samples" / name).exists(), f"{name} in {page.name}"


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("*.md"), ROOT / "mkdocs.yml"], ids=lambda page: page.stem)
def test_no_merge_was_left_half_done(page: Path) -> None:
    assert not re.search(r"^(<<<<<<<|>>>>>>>) ", page.read_text(encoding="utf-8"), re.MULTILINE)
