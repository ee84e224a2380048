"""Images worth a second look: the most confident mistakes, copies answered differently, likely label errors."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cxr_keras3.run.metrics import Answered, ConfidentMistake, LikelyLabelError

FOLDS = 5
MOST_SHOWN = 12


def confident_mistakes(
    positions: Sequence[int],
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    image_ids: np.ndarray,
    class_names: Sequence[str],
) -> tuple[ConfidentMistake, ...]:
    """The images at some positions, such as those of `most_confident`."""
    return tuple(
        ConfidentMistake(
            image_id=str(image_ids[index]),
            label=class_names[labels[index]],
            predicted=class_names[int(probabilities[index].argmax())],
            probability=float(probabilities[index].max()),
        )
        for index in positions
    )


def most_confident(labels: np.ndarray, probabilities: np.ndarray) -> list[int]:
    """Positions of the wrongly answered images, the surest first, at most `MOST_SHOWN`."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return [int(index) for index in wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:MOST_SHOWN]]


def copies_answered_differently(
    labels: np.ndarray, predicted: np.ndarray, groups: np.ndarray, *, image_ids: np.ndarray, class_names: Sequence[str]
) -> tuple[tuple[Answered, ...], ...]:
    """Groups (of one patient, or near-duplicates) whose images got different answers, with their images."""
    found = []
    names, counts = np.unique(groups, return_counts=True)
    for group in names[counts > 1]:
        members = np.flatnonzero(groups == group)
        if len(np.unique(predicted[members])) > 1:
            images = tuple(
                Answered(
                    image_id=str(image_ids[index]),
                    label=class_names[labels[index]],
                    predicted=class_names[predicted[index]],
                )
                for index in members
            )
            found.append(images)
    return tuple(found)


def likely_label_errors(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, *, image_ids: np.ndarray, class_names: Sequence[str]
) -> tuple[LikelyLabelError, ...]:
    """Images whose label a linear model on the features of other groups thinks least likely, and wrong.

    Self-confidence, the probability given to an image's own label by a model fitted without it, ranks label
    errors (Northcutt, Jiang & Chuang, "Confident Learning", Journal of Artificial Intelligence Research 70, 2021).

    Args:
        features: Pooled features, float (N, channels).
        labels: int (N,).
        groups: (N,), kept together in the folds.
        image_ids: (N,).
        class_names: In the order of the labels.

    Returns:
        At most `MOST_SHOWN`, the least likely first; empty where a class has fewer than five groups.
    """
    present = np.unique(labels)
    if min(len(np.unique(groups[labels == index])) for index in present) < FOLDS or len(present) < 2:
        return ()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    chances = cross_val_predict(model, features, labels, groups=groups, cv=folds, method="predict_proba")
    own = chances[np.arange(len(labels)), np.searchsorted(present, labels)]
    guessed = present[chances.argmax(axis=1)]
    doubtful = np.flatnonzero(guessed != labels)
    return tuple(
        LikelyLabelError(
            image_id=str(image_ids[index]),
            label=class_names[labels[index]],
            guess=class_names[guessed[index]],
            self_confidence=float(own[index]),
        )
        for index in doubtful[np.argsort(own[doubtful], kind="stable")][:MOST_SHOWN]
    )
