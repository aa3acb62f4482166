"""Seeing a search: ranking of scores, pictures of cells, the report, the live page. Knows nothing of training."""

from pronas.report._classes import class_rows
from pronas.report._draw import best_cell, draw_cell
from pronas.report._feed import Feed
from pronas.report._page import page, run_name, write_comparison, write_report
from pronas.report._payload import payload
from pronas.report._rank import (
    DENSE,
    Ranking,
    add_hover,
    draw_ranking,
    has_display,
    rank_files,
    save_ranking,
    show_ranking,
)
from pronas.report._reader import RunReader, Snapshot
from pronas.report._scores import Malformed, ScoreFile, cell_text, find_files, read_scores
from pronas.report._watch import live_app, watch

__all__ = [
    "DENSE",
    "Feed",
    "Malformed",
    "Ranking",
    "RunReader",
    "ScoreFile",
    "Snapshot",
    "add_hover",
    "best_cell",
    "cell_text",
    "class_rows",
    "draw_cell",
    "draw_ranking",
    "find_files",
    "has_display",
    "live_app",
    "page",
    "payload",
    "rank_files",
    "read_scores",
    "run_name",
    "save_ranking",
    "show_ranking",
    "watch",
    "write_comparison",
    "write_report",
]
