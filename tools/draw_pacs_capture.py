"""Draws the picture of docs/pacs.md: the gateway's capture of a synthetic film.

python -m tools.draw_pacs_capture RUN docs/images/pacs_capture.png
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from pydicom.dataset import Dataset

from cxr_keras3 import serving
from cxr_keras3.base.errors import UserError, run_command
from cxr_keras3.pacs import capture, films
from cxr_keras3.run.folder import Run
from tfds_cxr import phantom

WIDTH, TRIED = 1100, 20


def main(arguments: Sequence[str]) -> int:
    """Draws the page of the first phantom that the run's gate lets pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args(arguments)
    drawn = [phantom.draw("Lung_Opacity", seed=9, index=index)[0] for index in range(TRIED)]
    predictions = zip(drawn, serving.load(options.run).predict(drawn), strict=True)
    film = next((films.ScoredFilm(Dataset(), said, pixels) for pixels, said in predictions if said.accepted), None)
    if film is None:
        raise UserError(f"the run must let a synthetic film pass, it refuses all {TRIED}; name another run")
    page = Image.fromarray(capture.draw(film, Run.open(options.run), title=""))
    page.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    page.quantize(256).save(options.output, optimize=True)
    return 0


if __name__ == "__main__":
    run_command(main)
