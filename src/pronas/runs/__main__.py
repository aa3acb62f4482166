"""``python -m pronas.runs docs/cli.md``: write the tables of settings in a document anew."""

import sys
from pathlib import Path

from pronas.runs.document import write

for name in sys.argv[1:]:
    write(Path(name))
