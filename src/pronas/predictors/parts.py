"""What the neural predictors are fitted with, piece by piece: for tests and benchmarks."""

from pronas.predictors._adam import Adam
from pronas.predictors._lstm_core import run as run_lstm
from pronas.predictors._lstm_fit import run_members

__all__ = ["Adam", "run_lstm", "run_members"]
