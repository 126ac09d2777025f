"""What docs/export.md says of the formats; tests/docs/test_pages.py runs its commands."""

from helpers import ROOT

from poa_mm.export import FORMATS

PAGE = (ROOT / 'docs' / 'export.md').read_text(encoding='utf-8')


def test_the_table_names_all_formats():
    for name, chosen in FORMATS.items():
        made = f'`{chosen.suffix}`' if chosen.suffix else 'a folder'
        assert f'| `{name}` | {made} |' in PAGE
