"""How often does the drift alarm ring for nothing, and how soon does it ring for films of another place?

Test films of the run's own dataset are replayed in random order, many times: each alarm is one for nothing. Then films
of another place follow them, and the films until the alarm are counted. The exit code is 1 where more than one film in
a thousand alarms for nothing, or where the other place is not noticed within 200 films.

Example: python -m checks.drift --data-dir DATASETS --stream ../shared/data/external/pakistan
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from cxr_keras3 import serving
from cxr_keras3.base import progress
from cxr_keras3.run.drift import WINDOW, Stream
from cxr_keras3.run.folder import Run
from cxr_keras3.serving import inputs
from cxr_keras3.training import data

MOST_FALSE_ALARMS = 1e-3
MOST_DELAY = 200
REPLAYS = 40

Films = list[tuple[float, float]]
"""Distance and abnormal score of each."""


def measured(run: Run, films: list[inputs.Input]) -> Films:
    """Distances and abnormal scores of the films that are accepted."""
    found = []
    with progress.bar() as shown:
        task = shown.add_task("scoring", total=len(films))
        for each in serving.load(run).predict(films):
            shown.advance(task)
            if each.distance is not None and each.abnormal_score is not None:
                found.append((each.distance, each.abnormal_score))
    return found


def _films_until_alarm(stream: Stream, films: Films) -> int:
    for count, (distance, score) in enumerate(films, start=1):
        stream.add(distance=distance, score=score)
        if stream.alarms:
            return count
    return len(films) + 1


def main() -> int:
    """Measures both and prints them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="run folder; the reference model when left out")
    parser.add_argument("--data-dir", type=Path, help="where the dataset is that the run was trained on")
    parser.add_argument("--stream", type=Path, required=True, help="folder with films of another place")
    options = parser.parse_args()
    run = Run.open(options.model)
    builder = data.prepare(data_dir=options.data_dir, manual_dir=None)
    own_films = data.load_split(builder, "test").images
    own = measured(run, [inputs.Input(str(index), film) for index, film in enumerate(own_films)])
    other = measured(run, inputs.find([options.stream]))
    generator = np.random.default_rng(0)
    false_alarms, watched, delays = 0, 0, []
    for _ in range(REPLAYS):
        stream = Stream(run)
        for place in generator.permutation(len(own)):
            before = bool(stream.alarms)
            stream.add(distance=own[place][0], score=own[place][1])
            false_alarms += bool(stream.alarms) and not before
            watched += 1
        drawn = generator.choice(len(other), size=MOST_DELAY)
        delays.append(_films_until_alarm(stream, [other[place] for place in drawn]))
    print(f"alarms for nothing: {false_alarms} in {watched} films (windows of {WINDOW})")
    print(f"films until the alarm: median {np.median(delays):.0f}, at most {max(delays)}")
    return int(false_alarms > MOST_FALSE_ALARMS * watched or max(delays) > MOST_DELAY)


if __name__ == "__main__":
    sys.exit(main())
