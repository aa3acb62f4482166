"""Run the commands and examples of a page, in its order, in a folder: what the documents show was run.

    python docs/run_page.py docs/how-to/resume.md FOLDER

Blocks marked `sh` are run a line at a time, those marked `python` as one script each; others are not run.
`photos/` must lie in the folder where a page reads it. Stops at the first line that fails.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path


def commands(page: Path, folder: Path) -> Iterator[list[str]]:
    """What a page's blocks are, as commands; examples in Python become files in the folder."""
    blocks = re.findall(r"```(sh|python)\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    for number, (language, text) in enumerate(blocks):
        if language == "python":
            script = folder / f"{page.stem}-{number}.py"
            script.write_text(text, "utf-8")
            yield [sys.executable, script.name]
        else:
            yield from (["bash", "-euo", "pipefail", "-c", line] for line in text.splitlines() if line.strip())


def main(page: str, place: str) -> None:
    """Run them."""
    folder = Path(place)
    folder.mkdir(parents=True, exist_ok=True)
    for command in commands(Path(page), folder):
        print("+", command[-1], flush=True)
        start = time.monotonic()
        subprocess.run(command, cwd=folder, check=True)
        print(f"  ({time.monotonic() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
