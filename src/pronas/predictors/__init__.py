"""Predictors of a cell's reward: the contract, one file a model, fitting, metrics, and the scoring of whole levels."""

from pronas.predictors._checkpoint import predictor_values, read_checkpoint, write_checkpoint
from pronas.predictors._cross_validation import cross_validate
from pronas.predictors._level_scoring import (
    CHUNK,
    HELD,
    MARGIN,
    Level,
    best_of_chunk,
    every_line,
    every_row,
    exact,
    merged,
    plan_level,
    score_chunk,
)
from pronas.predictors._metrics import RankCorrelations, rank_correlations
from pronas.predictors._predictor import Floats, History, Observed, Predictor, Rows, Tile, check_history
from pronas.predictors._registry import (
    PREDICTORS,
    load_predictor,
    make_predictor,
    restore_predictor,
    save_predictor,
)
from pronas.predictors._tokens import compose
from pronas.predictors._top_k import Best, Feasible, TopK, best_cells, decode_best, key_bytes

__all__ = [
    "CHUNK",
    "HELD",
    "MARGIN",
    "PREDICTORS",
    "Best",
    "Feasible",
    "Floats",
    "History",
    "Level",
    "Observed",
    "Predictor",
    "RankCorrelations",
    "Rows",
    "Tile",
    "TopK",
    "best_cells",
    "best_of_chunk",
    "check_history",
    "compose",
    "cross_validate",
    "decode_best",
    "every_line",
    "every_row",
    "exact",
    "key_bytes",
    "load_predictor",
    "make_predictor",
    "merged",
    "plan_level",
    "predictor_values",
    "rank_correlations",
    "read_checkpoint",
    "restore_predictor",
    "save_predictor",
    "score_chunk",
    "write_checkpoint",
]
