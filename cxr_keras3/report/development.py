"""How a run was made, and what it answers: functions of its evidence, each with the files that it rests on."""

from cxr_keras3.report.evidence import Evidence, GapError, Source, Statement, in_manifest, in_metrics, listed, said
from cxr_keras3.run.folder import CALIBRATION, GATE

NOT_A_DEVICE = "For research only: not a medical device, and never to be used on patients."
_DATA_CARD = "tfds_cxr/README.md"
_CODE = "cxr_keras3/"


def identity(evidence: Evidence) -> Statement:
    """Name, date, kind and fingerprint."""
    found = evidence.manifest
    text = (
        f"{found.name}, trained until {found.created[:10]}: {found.architecture}, classes {listed(found.class_names)}."
    )
    return said(f"{text} Fingerprint {evidence.run.fingerprint}.", in_manifest("name, created, class_names"))


def technology(evidence: Evidence) -> Statement:
    """The category of technology."""
    text = (
        f"A convolutional neural network ({evidence.manifest.architecture}) that classifies frontal chest radiographs."
    )
    return said(text, in_manifest("config.backbone"))


def purpose(evidence: Evidence) -> Statement:
    """What it is for, and what it is not for."""
    text = f"Research on what models such as {evidence.run.name} learn, shortcuts above all. {NOT_A_DEVICE}"
    return said(text, in_manifest("licence"), Source(_DATA_CARD))


def data_sources(evidence: Evidence) -> Statement:
    """Where the images come from."""
    data = evidence.manifest.data
    what = (
        "drawn images" if evidence.manifest.is_synthetic else "published collections, compiled by others, retrospective"
    )
    text = f"Dataset {data.get('dataset', 'unnamed')} {data.get('version', '')}: {what}."
    text += f" Files {data['listing_fingerprint'][:16]}."
    return said(text, in_manifest("data"), Source(_DATA_CARD, "sources and terms"))


def partitions(evidence: Evidence) -> Statement:
    """How many images each split has, and how they were divided."""
    counts = evidence.manifest.data.get("counts")
    if not counts:
        raise GapError("the manifest holds no counts")
    words = "; ".join(
        f"{split} {sum(of.values())} ({', '.join(f'{name} {n}' for name, n in of.items())})"
        for split, of in counts.items()
    )
    text = f"{words}. Divided by patient where known, else by near-duplicate, so that no group is in two splits."
    return said(text, in_manifest("data.counts"), Source("tfds_cxr/splits.py"))


def preprocessing(evidence: Evidence) -> Statement:
    """What is done to an image before the model."""
    given = evidence.manifest.input
    shape = " x ".join(map(str, given["shape"]))
    text = f"One decoder for training and use gives {given['dtype']} {shape}, {given['meaning']};"
    return said(f"{text} resizing is in the graph.", in_manifest("input"), Source(_CODE + "images/decoding.py"))


def reference_standard(evidence: Evidence) -> Statement:
    """What is held for true."""
    errors = len(evidence.metrics.errors.likely_label_errors)
    text = "The class folder in which the database's authors put each image; nobody has read the films again."
    return said(
        f"{text} {errors} labels look wrong to a second model and are listed.", in_metrics("errors"), Source(_DATA_CARD)
    )


def architecture(evidence: Evidence) -> Statement:
    """How the model is built, and how its parts follow one another."""
    config = evidence.manifest.config
    size = config.get("image_size", "its own")
    text = (
        f"Decoder; backbone {evidence.manifest.architecture} at {size} pixels; mean over the map; one linear layer to "
        f"{len(evidence.run.class_names)} logits; temperature; a gate before it, a score of abnormality beside it."
    )
    return said(text, in_manifest("config"), Source(GATE), Source(_CODE + "model/classifier.py"))


def design_choices(evidence: Evidence) -> Statement:
    """Why it is built so."""
    region = evidence.manifest.region
    text = (
        "A small backbone, so that it answers on a processor; a linear layer after a mean, so that each answer's map "
        f"is exact; shown: {region} film. Assumed: upright frontal chest films of adults as in the collections named."
    )
    return said(text, in_manifest("config.backbone, config.region"), Source(_CODE + "model/backbone_table.py"))


def optimised_for(evidence: Evidence) -> Statement:
    """What training minimises, and which weights were chosen."""
    config = evidence.manifest.config
    stated = {key: config[key] for key in ("class_balance", "label_smoothing", "fine_tune") if key in config}
    if not stated:
        raise GapError("the manifest does not say how it was trained")
    words = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in stated.items())
    text = f"Cross-entropy ({words}); the epoch with the best macro-F1 on the validation split was kept."
    return said(text, in_manifest("config, validation"), Source(_CODE + "training/loop.py"))


def training(evidence: Evidence) -> Statement:
    """All settings of training."""
    words = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in evidence.manifest.config.items())
    return said(f"{words}.", in_manifest("config"))


def initialisation(evidence: Evidence) -> Statement:
    """Where the first weights came from."""
    weights = evidence.manifest.config.get("weights")
    if weights is None:
        raise GapError("the manifest does not name the first weights")
    return said(
        f"Weights from {weights}; what they lack at random, seed {evidence.manifest.config.get('seed')}.",
        in_manifest("config.weights"),
    )


def ensembling(evidence: Evidence) -> Statement:
    """Of how many models it is the mean."""
    members = evidence.manifest.members
    return said(f"Mean of {listed(members)}." if members else "None: one model.", in_manifest("config.members"))


def software(evidence: Evidence) -> Statement:
    """What it was trained with."""
    packages = evidence.manifest.packages
    if not packages:
        raise GapError("the manifest names no packages")
    words = ", ".join(f"{name} {version}" for name, version in packages.items())
    return said(f"{words}; backend {evidence.manifest.backend}.", in_manifest("packages, backend"))


def output(evidence: Evidence) -> Statement:
    """What is answered."""
    found = evidence.calibration
    text = (
        f"Calibrated probabilities (temperature {found.temperature:.3f}), a flag from an abnormal score of "
        f"{found.abnormal_threshold:.3f}, prediction sets at {listed(found.conformal_thresholds)}, a map, and warnings."
    )
    return said(text, Source(CALIBRATION))


def threshold(evidence: Evidence) -> Statement:
    """The operating point, and how it was set."""
    found = evidence.calibration
    text = (
        f"Flagged from an abnormal score of {found.abnormal_threshold:.3f}, set beforehand on {found.images} images of"
    )
    return said(f"{text} the {found.split} split for a sensitivity of {found.sensitivity}.", Source(CALIBRATION))


def oversight(evidence: Evidence) -> Statement:
    """What lets a person judge an answer."""
    found = evidence.calibration
    text = (
        "A person reads every film; the flag orders the list and closes none. Each answer comes with its map, the part "
        "of the evidence that lies in the lungs, and its prediction set, which holds the true class with "
        f"{listed(found.conformal_thresholds)}. A gate refuses what is no frontal film."
    )
    return said(text, Source(CALIBRATION), Source(GATE), Source(_CODE + "serving/prediction.py"))


def availability(evidence: Evidence) -> Statement:
    """Where model and software are, and that the copy is the one measured."""
    export = evidence.export
    text = f"Model {evidence.model[:16]}, export to {export.format} checked against it on {export.images} images."
    sources = (in_manifest("checksums, licence"), Source("export/openvino/parity.json"))
    return said(f"{text} Licence: {evidence.manifest.licence}.", *sources)


def selection(evidence: Evidence) -> Statement:
    """How films came into the data."""
    total = sum(sum(of.values()) for of in evidence.manifest.data.get("counts", {}).values())
    text = f"All readable images of the collections, {total}, as their authors chose them."
    return said(text, in_manifest("data"), Source(_DATA_CARD, "collections"))


def dates(evidence: Evidence) -> Statement:
    """When and where films were taken."""
    raise GapError(f"when and where the films of {evidence.manifest.data.get('dataset', 'the dataset')} were taken")


def training_resources(evidence: Evidence) -> Statement:
    """What computing the training took."""
    raise GapError(f"how long training took on {evidence.manifest.backend}, and on what machine, is not kept")


def gate(evidence: Evidence) -> Statement:
    """What is refused before any answer."""
    found = evidence.run.gate
    if found is None:
        raise GapError("the run has no gate")
    text = "Refused: what cannot be read, is no single grey frame, says it is no frontal chest film, or is far from the"
    return said(f"{text} training films in features or thumbnail.", Source(GATE), Source(_CODE + "run/gate.py"))
