"""One self-contained HTML page, for a report's file and for the live view alike."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from pronas.files import write_atomic
from pronas.report._payload import finite, payload
from pronas.report._reader import RunReader

_SCRIPTS = (
    "dom", "model", "cell", "scales", "scatter", "detail", "lines", "plots", "sections", "winner", "table",
    "more", "compare", "live", "main",
)  # fmt: skip


def write_report(run: str | Path, out: str | Path) -> Path:
    """Write the report of a run folder as one HTML file that needs nothing else, no network either.

    Args:
        run: the run folder.
        out: the file to write.

    Returns:
        The path of the file.

    Raises:
        RunError: the folder is no run.
        OSError: it cannot be written.
    """
    with RunReader(run) as reader:
        message = payload(reader.read(), run_name(run))
    write_atomic(out, page(message))
    return Path(out)


def write_comparison(first: str | Path, second: str | Path, out: str | Path) -> Path:
    """Write a report of two runs side by side: what was set otherwise, how well and how fast each went, their cells.

    Args:
        first, second: run folders.
        out: the file to write.

    Returns:
        The path of the file.

    Raises:
        RunError: one of the folders is no run.
        OSError: it cannot be written.
    """
    messages = []
    for run in (first, second):
        with RunReader(run) as reader:
            messages.append(payload(reader.read(), run_name(run)))
    names = " and ".join(message["name"] for message in messages)
    write_atomic(out, page({"name": names, "runs": messages}))
    return Path(out)


def run_name(run: str | Path) -> str:
    """Return the name of a run: its folder's.

        >>> run_name("experiments/first")
        'first'

    Args:
        run: the folder, or the store in it.

    Returns:
        The name, for titles.
    """
    path = Path(run).resolve()
    return (path.parent if path.is_file() else path).name


def page(message: dict[str, Any], live: bool = False) -> str:
    """Make the page that shows a message of ``payload``; a live one connects to ``events`` beside it.

        >>> from pronas.report import Snapshot, payload
        >>> text = page(payload(Snapshot(run="1", revision=0, children=[]), "first run"))
        >>> "first run" in text, "<script src" in text
        (True, False)

    Args:
        message: from `payload`.
        live: whether it listens for changes.

    Returns:
        HTML with its styles, scripts and data inside.
    """
    return _asset("page.html").format(
        csp=content_policy(live),
        title=escape(f"{message.get('name', '')} · pronas"),
        style=_style(),
        script=_script(),
        data=embeddable(to_json({**message, "live": live})),
    )


def to_json(message: dict[str, Any]) -> str:
    """Return compact strict JSON; NaN and infinities, which it cannot say, become null."""
    try:
        return json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(finite(message), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def embeddable(text: str) -> str:
    """Make JSON safe inside a script element: no ``<``, ``>``, ``&``, no line separators; it stays the same JSON."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@cache
def content_policy(live: bool) -> str:
    """Return the content policy: exactly this script and this style; nothing is loaded, sent, or framed."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_hash(_script())}",
            f"style-src {_hash(_style())}",
            "img-src data:",
            *(["connect-src 'self'"] if live else []),
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _script() -> str:
    body = "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    return f'"use strict";(() => {{\n{body}}})();'


@cache
def _style() -> str:
    return _asset("style.css")


@cache
def _asset(name: str) -> str:
    return resources.files("pronas.report").joinpath("page", name).read_text("utf-8")
