"""The shortcut audit: floors, swapped cues, regions, activation and sources, and the verdict on them."""

from cxr_keras3.evaluation.audit.auditing import audit

__all__ = ["audit"]
