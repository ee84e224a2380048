"""Choices that rooms high and low name alike."""

from typing import Literal

Region = Literal["full", "lungs", "crop"]
"""What of a film the model is shown: all of it, the lungs on black, or the box around them."""

Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]
"""Number format of training."""
