"""Serving: from files to predictions, by an exported run on OpenVINO, or its model on Keras."""

from cxr_keras3.serving.prediction import Prediction
from cxr_keras3.serving.predictor import Predictor, load

__all__ = ["Prediction", "Predictor", "load"]
