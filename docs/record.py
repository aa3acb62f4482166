"""Record a command in a terminal, with its timing, as an SVG that moves.

    python docs/record.py --out docs/pictures/terminal.svg --speed 8 -- pronas search

The command is run for real, once; nothing is sent anywhere. A viewer that does not animate shows the last screen. Needs
pyte (a terminal without a window): pip install pyte.
"""

from __future__ import annotations

import argparse
import itertools
import os
import pty
import select
import shlex
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from fcntl import ioctl
from html import escape
from pathlib import Path

import pyte

#: A run of characters of one look (text, colour, bold), and a screen's rows of them.
Run = tuple[int, str, str, bool]
Screen = tuple[tuple[Run, ...], ...]

COLOURS = {
    "black": "#3b4252", "red": "#ff7b72", "green": "#56d364", "brown": "#e3b341", "blue": "#79c0ff",
    "magenta": "#d2a8ff", "cyan": "#76e3ea", "white": "#e6edf3", "brightblack": "#8b949e", "default": "#e6edf3",
}  # fmt: skip
WIDE, TALL, PAD, BAR = 8.4, 19, 16, 34  # a character's width and height, the edge, the title bar
STYLE = (
    "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}"
    ".t{font:12px system-ui,sans-serif;fill:#8b949e;text-anchor:middle}.b{font-weight:700}"
)
HOLD = 4.0  # seconds the last screen stays before all begins again


def record(command: Sequence[str], columns: int, rows: int, at_most: float) -> list[tuple[float, Screen]]:
    """Run a command in a terminal of its own.

    Args:
        command: the program and its arguments.
        columns: characters a line.
        rows: lines; what scrolls away is lost.
        at_most: seconds; then the command is ended.

    Returns:
        Screens, each with the second from which it was seen.
    """
    screen = pyte.Screen(columns, rows)
    stream = pyte.ByteStream(screen)
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    place = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(rows)}
    start = time.monotonic()
    child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=place, start_new_session=True)
    os.close(slave)
    seen: list[tuple[float, Screen]] = [(0.0, picture(screen))]
    for data in chunks(master, start + at_most):
        stream.feed(data)
        if (now := picture(screen)) != seen[-1][1]:
            seen.append((time.monotonic() - start, now))
    child.terminate()
    child.wait()
    return seen


def chunks(master: int, until: float) -> Iterator[bytes]:
    """What the command writes, as it comes."""
    while (left := until - time.monotonic()) > 0:
        if select.select([master], [], [], min(left, 1))[0]:
            try:
                data = os.read(master, 65536)
            except OSError:  # the command has ended
                return
            if not data:
                return
            yield data


def picture(screen: pyte.Screen) -> Screen:
    """What stands on a screen: rows of runs of one look."""
    return tuple(tuple(runs(screen.buffer[y], screen.columns)) for y in range(screen.lines))


def runs(row: dict[int, pyte.screens.Char], columns: int) -> Iterator[Run]:
    """A row's runs, without the spaces between them."""
    at, text, look = 0, "", ("", False)
    for x in range(columns + 1):
        char = row[x] if x < columns else None
        now = (char.fg, char.bold) if char and char.data != " " else look
        if char is None or now != look:
            if text.strip():
                yield at + len(text) - len(text.lstrip()), text.strip(), *look
            at, text, look = x, "", now
        text += char.data if char else ""


def thinned(seen: list[tuple[float, Screen]], speed: float, gap: float) -> list[tuple[float, Screen]]:
    """Screens at the speed they are shown with, those that stay less than ``gap`` seconds left out."""
    shown = [(second / speed, screen) for second, screen in seen]
    kept: list[tuple[float, Screen]] = []
    for one, after in itertools.pairwise(shown):
        if after[0] - one[0] >= gap or not kept or one[0] - kept[-1][0] >= gap:
            kept.append(one)
    return [*kept, shown[-1]]


def drawn(frames: list[tuple[float, Screen]], title: str, columns: int) -> str:
    """The SVG of some screens."""
    rows = max(y for _, screen in frames for y, row in enumerate(screen) if row) + 1
    width, height = round(2 * PAD + columns * WIDE), BAR + PAD + rows * TALL
    whole = frames[-1][0] + HOLD
    body = [line(y, row, times, whole) for (y, row), times in spans(frames, whole).items()]
    dots = zip((20, 38, 56), ("#ff5f56", "#ffbd2e", "#27c93f"), strict=True)
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        '<rect width="100%" height="100%" rx="9" fill="#0d1117" stroke="#30363d"/>',
        *(f'<circle cx="{x}" cy="17" r="5.5" fill="{colour}"/>' for x, colour in dots),
        f'<text class="t" x="{width // 2}" y="21">{escape(title)}</text>',
    ]
    return "\n".join([*head, *body, "</svg>", ""])


def spans(frames: list[tuple[float, Screen]], whole: float) -> dict[tuple[int, tuple[Run, ...]], list[list[float]]]:
    """When each row of text stands where, in seconds; what stays over several screens is one time."""
    found: dict[tuple[int, tuple[Run, ...]], list[list[float]]] = {}
    ends = [*(begin for begin, _ in frames[1:]), whole]
    for (begin, screen), end in zip(frames, ends, strict=True):
        for y, row in enumerate(screen):
            if row:
                times = found.setdefault((y, row), [])
                if times and times[-1][1] == begin:
                    times[-1][1] = end
                else:
                    times.append([begin, end])
    return found


def line(y: int, row: tuple[Run, ...], times: list[list[float]], whole: float) -> str:
    """A row of text that is seen at some times."""
    parts = []
    for x, text, colour, bold in row:
        fill, wide = COLOURS.get(colour) or f"#{colour}", len(text) * WIDE
        look = ' class="b"' if bold else ""
        place = f'x="{PAD + x * WIDE:.1f}" textLength="{wide:.1f}" fill="{fill}"'
        parts.append(f"<tspan {place}{look}>{escape(text)}</tspan>")
    hidden = "" if times[-1][1] >= whole else ' display="none"'
    return f'<text y="{BAR + 14 + y * TALL}"{hidden}>{"".join(parts)}{moving(times, whole)}</text>'


def moving(times: list[list[float]], whole: float) -> str:
    """What shows and hides a row; nothing for one that is always seen."""
    changes = [(0.0, "inline" if times[0][0] <= 0 else "none")]
    for begin, end in times:
        changes += [(moment, value) for moment, value in ((begin, "inline"), (end, "none")) if 0 < moment < whole]
    if len(changes) == 1:
        return ""
    moments, values = (";".join(part) for part in zip(*((f"{m / whole:.4f}", v) for m, v in changes), strict=True))
    how = f'attributeName="display" calcMode="discrete" dur="{whole:.2f}s" repeatCount="indefinite"'
    return f'<animate {how} keyTimes="{moments}" values="{values}"/>'


def main() -> None:
    """Record, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster it is shown")
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--at-most", type=float, default=900, help="seconds")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    seen = record(options.command, options.columns, options.rows, options.at_most)
    words = shlex.join([Path(options.command[0]).name, *options.command[1:]])
    faster = "" if options.speed == 1 else f", shown {options.speed:g} times as fast"
    frames = thinned(seen, options.speed, 0.25)
    options.out.write_text(drawn(frames, f"{words} ({seen[-1][0]:.0f} s{faster})", options.columns), "utf-8")
    print(f"{options.out}: {len(frames)} screens of {len(seen)}, {options.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
