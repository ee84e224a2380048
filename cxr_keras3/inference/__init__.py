"""From files to predictions: an exported run on OpenVINO, or its model on Keras."""

from cxr_keras3.inference.predictor import Predictor, load
from cxr_keras3.inference.records import Prediction

__all__ = ["Prediction", "Predictor", "load"]
