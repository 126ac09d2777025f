"""What the pages point to is there."""

import re

import pytest
from helpers import ROOT
from pages import blocks

PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ('*.md', 'docs/*.md', 'configs/**/*.md', 'benchmarks/*.md')
    for path in ROOT.glob(pattern)
)


def text_of(page):
    return (ROOT / page).read_text()


@pytest.mark.parametrize('page', PAGES, ids=str)
def test_links_lead_somewhere(page):
    links = re.findall(r'\]\((?!https?:)([^)#]+)', text_of(page))
    missing = [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]
    assert not missing


@pytest.mark.parametrize('page', PAGES, ids=str)
def test_commands_name_files_of_the_repository(page):
    named = re.findall(r'\b((?:tools|benchmarks|configs)/[\w./-]+\.(?:py|sh))\b', text_of(page))
    written = {str(block.file) for block in blocks(str(page))}  # by the reader
    missing = [name for name in named if not (ROOT / name).exists() and name not in written]
    assert not missing


@pytest.mark.parametrize('page', PAGES, ids=str)
def test_modules_are_where_the_page_says(page):
    named = re.findall(r'`(?:poa_mm/)?(\w+/[\w/]+\.py)`', text_of(page))
    missing = [
        name for name in named if not any((ROOT / up / name).exists() for up in ('', 'poa_mm'))
    ]
    assert not missing


def test_every_tool_and_page_is_mentioned():
    pages = '\n'.join(map(text_of, PAGES))
    tools = {path.name for path in (ROOT / 'tools').iterdir() if path.is_file()}
    tools -= {'demo.py'}  # `make demo`
    assert not [name for name in sorted(tools) if f'tools/{name}' not in pages]
    readme = text_of('README.md')
    docs = [f'docs/{path.name}' for path in (ROOT / 'docs').glob('*.md')]
    assert not [name for name in docs if name not in readme]
