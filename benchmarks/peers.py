"""From file to probabilities against TorchXRayVision's own code, and what a user of Keras or transformers would write.

    python -m benchmarks.peers FOLDER [--repeats 3] [--contenders ours_densenet121 torchxrayvision …]

FOLDER holds films as PNG or JPEG. Each contender has a process of its own; they take turns, so that whatever else the
machine does burdens them alike. No weights are downloaded: speed does not depend on them.

ours_shipped        the model that comes with this package: with gate, lungs, flag and heat map, as `predict` answers
ours_densenet121    the same with TorchXRayVision's network, untrained, 224 pixels
torchxrayvision     as its scripts/process_image.py does: each film read, normalised, cropped and resized by its own
                    functions, then its DenseNet121, film by film
torchxrayvision_16  the same in batches of 16
keras               load_img, img_to_array and predict of keras.applications' DenseNet121, film by film, on JAX
transformers        its pipeline for image classification with the Vision Transformer of its default size
"""

import argparse
import functools
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks import scoring

SIZE = 224
BASELINE = "torchxrayvision"

Score = Callable[[Sequence[Path]], object]


def ours(run: Path | None) -> Score:
    """The predictor of this package, on the shipped model when None."""
    from cxr_keras3 import serving  # noqa: PLC0415 -- counted into the contender's start

    predictor = serving.load(run)
    return lambda films: list(predictor.predict(films, batch_size=1 if len(films) == 1 else 16))


def torchxrayvision(batch_size: int) -> Score:
    """Its functions in the order of its script."""
    import skimage.io  # noqa: PLC0415 -- see above
    import torch  # noqa: PLC0415
    import torchvision  # noqa: PLC0415
    import torchxrayvision as xrv  # noqa: PLC0415

    shape = torchvision.transforms.Compose([xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(SIZE)])
    model = xrv.models.DenseNet(weights=None).eval()

    def prepared(film: Path) -> torch.Tensor:
        return torch.from_numpy(shape(xrv.datasets.normalize(skimage.io.imread(film), 255, reshape=True)))

    def score(films: Sequence[Path]) -> list[object]:
        found = []
        with torch.no_grad():
            for start in range(0, len(films), batch_size):
                batch = torch.stack([prepared(film) for film in films[start : start + batch_size]])
                found.append(model(batch).numpy())
        return found

    return score


def keras() -> Score:
    """As the guides of Keras show it."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras as library  # noqa: PLC0415 -- reads the backend
    import numpy as np  # noqa: PLC0415

    model = library.applications.DenseNet121(weights=None, classes=4)

    def score(films: Sequence[Path]) -> list[object]:
        arrays = [library.utils.img_to_array(library.utils.load_img(film, target_size=(SIZE, SIZE))) for film in films]
        ready = (library.applications.densenet.preprocess_input(array[np.newaxis]) for array in arrays)
        return [model.predict(array, verbose=0) for array in ready]

    return score


def transformers() -> Score:
    """Its pipeline, as its guides show it, with weights that are drawn."""
    import transformers as library  # noqa: PLC0415 -- see above

    model = library.ViTForImageClassification(library.ViTConfig())
    pipeline = library.pipeline("image-classification", model=model, image_processor=library.ViTImageProcessor())
    return lambda films: pipeline([str(film) for film in films])


CONTENDERS: dict[str, Callable[[Path], Score]] = {
    "ours_shipped": lambda _: ours(None),
    "ours_densenet121": ours,
    "torchxrayvision": lambda _: torchxrayvision(1),
    "torchxrayvision_16": lambda _: torchxrayvision(16),
    "keras": lambda _: keras(),
    "transformers": lambda _: transformers(),
}


def serve(contender: str, run: Path, films: Sequence[Path], connection: Connection) -> None:
    """Answers each turn with films a second and milliseconds of a core a film, and None with the peak memory in MiB."""
    os.environ |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1", "HF_HUB_OFFLINE": "1"}
    score = CONTENDERS[contender](run)
    score(films[:1])
    connection.send("first answer")
    score(films)  # compiles
    connection.send("ready")
    while connection.recv():
        started, used = time.perf_counter(), time.process_time()
        score(films)
        taken, used = time.perf_counter() - started, time.process_time() - used
        connection.send((len(films) / taken, 1000 * used / len(films)))
    connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20))


def measure(
    contenders: Sequence[str], run: Path, films: Sequence[Path], *, repeats: int
) -> dict[str, dict[str, list[float]]]:
    """Figures by contender: "start" and "memory" once, "rate" and "core" once a turn."""
    spawn = multiprocessing.get_context("spawn")
    connections: dict[str, Connection] = {}
    found: dict[str, dict[str, list[float]]] = {}
    for name in contenders:
        connections[name], theirs = spawn.Pipe()
        started = time.perf_counter()
        spawn.Process(target=serve, args=(name, run, films, theirs), daemon=True).start()
        theirs.close()  # so that a process that dies ends our waiting for it
        connections[name].recv()
        found[name] = {"start": [time.perf_counter() - started], "rate": [], "core": []}
        connections[name].recv()
    for _ in range(repeats):
        for name, connection in connections.items():
            connection.send(True)
            rate, core = connection.recv()
            found[name]["rate"].append(rate)
            found[name]["core"].append(core)
    for name, connection in connections.items():
        connection.send(None)
        found[name]["memory"] = [connection.recv()]
    return found


def table(found: dict[str, dict[str, list[float]]]) -> str:
    """The results as Markdown; a ratio is of two measurements of one turn, by the time of a core."""
    base = found.get(BASELINE, {}).get("core")
    lines = [
        "| contender | films/s | ms of a core a film | times theirs | start, s | peak memory, MiB |",
        "|---" * 6 + "|",
    ]
    for name, figures in found.items():
        ratio = scoring.spread([b / own for b, own in zip(base, figures["core"], strict=True)]) if base else ""
        rate, core, start, memory = (scoring.spread(figures[key]) for key in ("rate", "core", "start", "memory"))
        lines.append(f"| {name} | {rate} | {core} | {ratio} | {start} | {memory} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table: the median of the turns (lowest-highest)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--repeats", type=int, default=3, help="turns (default: 3)")
    parser.add_argument("--run", type=Path, help="of DenseNet121; an untrained one is made when left out")
    options = parser.parse_args()
    films = sorted(path for path in options.films.iterdir() if path.is_file())
    with tempfile.TemporaryDirectory() as temporary:
        run = options.run or Path(temporary) / "run"
        if not options.run and "ours_densenet121" in options.contenders:
            make = functools.partial(scoring.prepare, run, "densenet121", ("openvino",))
            maker = multiprocessing.get_context("spawn").Process(target=make)
            maker.start()
            maker.join()
            if maker.exitcode:
                sys.exit("the model could not be prepared, see above")
        print(f"{len(films)} films of {options.films}, {os.cpu_count()} cores\n")
        print(table(measure(options.contenders, run, films, repeats=options.repeats)))


if __name__ == "__main__":
    main()
