"""Run a tool of poa_mm that knows this family: python run_tool.py TOOL [arguments of the tool]."""

import runpy
import sys

import elastic_mixer  # noqa: F401  # registers the family

if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name='__main__')
