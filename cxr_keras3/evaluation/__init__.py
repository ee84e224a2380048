"""Evaluation: figures with intervals, calibration, triage, abstention, and the shortcut audit."""

from cxr_keras3.evaluation.run import describe, evaluate

__all__ = ["describe", "evaluate"]
