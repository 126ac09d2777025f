"""Mistakes that users make, for the page docs/troubleshooting.md.

``python tests/docs/mistakes.py`` makes them all and writes the tables of the page.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does for its tests

import mistakes_after_training as after
import mistakes_in_training as during
from mistake_runner import write_page

# By heading of the page.
MISTAKES = {
    'Starting a run': during.START,
    'Config and --cfg-options': during.CONFIG,
    'Your own images': [*during.FOLDERS, *after.FOLDERS],
    'Fine-tuning and classifying': during.FINE_TUNING,
    'Resuming': during.RESUME,
    'Checkpoints and sub-networks': after.CHECKPOINTS,
    'Choosing and exporting': after.CHOOSING,
    'Evaluating': after.EVALUATION,
}

if __name__ == '__main__':
    write_page(MISTAKES)
