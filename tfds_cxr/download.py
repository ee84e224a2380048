"""Downloads the database from Kaggle, for those who have no copy of it."""

from pathlib import Path

import kagglehub

from tfds_cxr.database import KAGGLE_HANDLE, DatabaseError


def from_kaggle() -> Path:
    """Downloads the database through kagglehub, which resumes where an earlier try broke off.

    Returns:
        The folder in kagglehub's cache (`$KAGGLEHUB_CACHE`, else `~/.cache/kagglehub`).

    Raises:
        DatabaseError: Where Kaggle cannot be reached or refuses.
    """
    try:
        return Path(kagglehub.dataset_download(KAGGLE_HANDLE))
    except Exception as error:  # kagglehub raises its own, requests' and plain exceptions
        raise DatabaseError(
            f"the database must be in the manual folder or come from Kaggle, whose download of {KAGGLE_HANDLE} "
            f"failed ({type(error).__name__}: {error}); check the network and Kaggle's permissions, or get the "
            "zip with a browser and pass its folder as the manual folder"
        ) from error
