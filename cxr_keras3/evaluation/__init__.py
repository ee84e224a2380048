"""Measures a run: figures with intervals, calibration, triage, abstention and the shortcut audit."""

from cxr_keras3.evaluation.measures import PREDICTIONS, REPORT
from cxr_keras3.evaluation.run import describe, evaluate

__all__ = ["PREDICTIONS", "REPORT", "describe", "evaluate"]
