"""Checklists, in our own words: what each item asks, and the function of a run's evidence that answers it.

An item without a function is for people: its text says what they have to write. Sources are named with each checklist.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cxr_keras3.report import development as made
from cxr_keras3.report import findings as found
from cxr_keras3.report.evidence import Evidence, Statement

Answer = Callable[[Evidence], Statement]


@dataclass(frozen=True)
class Item:
    """One item.

    Attributes:
        number: In its checklist.
        asks: What it asks for, in our words.
        answers: What the run says to it; none where only people can.
    """

    number: str
    asks: str
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True)
class Checklist:
    """A checklist.

    Attributes:
        key: Short name, for links.
        title: Its name.
        source: Where its items are published.
        note: What a reader must know of this rendering.
        items: In its order.
    """

    key: str
    title: str
    source: str
    note: str
    items: tuple[Item, ...]


def _items(*rows: tuple[str, str, *tuple[Answer, ...]]) -> tuple[Item, ...]:
    return tuple(Item(number, asks, tuple(answers)) for number, asks, *answers in rows)


MODEL_FACTS = Checklist(
    "facts",
    "Model facts",
    "Sendak, Gao, Brajer, Balu: Presenting machine learning model information to clinical end users with model facts "
    "labels. npj Digital Medicine 3:41, 2020.",
    "The sections of that label, filled from the run.",
    _items(
        ("Name", "which model, which version, since when", made.identity),
        ("Summary", "what it does, and what for", made.technology, made.purpose),
        ("Outcome and output", "what it says of a film", made.output, found.withheld),
        ("Population", "of whom its films are", found.users),
        ("Input", "what it is given", made.preprocessing),
        ("Training data", "where and when they were made", made.data_sources, made.partitions, made.dates),
        ("Model type", "how it is built", made.architecture),
        ("Performance", "on held-out films", found.performance, found.diagnostic_figures),
        ("In subgroups", "by what is known of persons and films", found.subgroups),
        ("Elsewhere", "on films of other hospitals", found.external_evaluation),
        ("Directions", "how to use it", made.threshold, made.oversight),
        ("Warnings", "when not to use it", found.limitations, found.robustness),
        ("Other", "licence, and where model and evaluation are", made.availability),
    ),
)

ANNEX_IV = Checklist(
    "annex-iv",
    "EU AI Act, Annex IV, point 2 (b) to (e)",
    "Regulation (EU) 2024/1689, Annex IV, point 2.",
    "A draft of these four parts alone. It is no technical documentation under the Act and claims no conformity: the "
    "model is for research (Article 2(6)). Points 1, 2 (a), (f) to (h) and 3 to 9 are not in it.",
    _items(
        ("2(b)", "general logic of the system and its algorithms", made.technology, made.architecture),
        ("2(b)", "key choices of design, with reasons and assumptions", made.design_choices),
        ("2(b)", "the persons and groups on whom it is meant to be used", found.users),
        ("2(b)", "main choices of classification", made.reference_standard, found.withheld),
        ("2(b)", "what it is optimised for, and how much parameters matter", made.optimised_for),
        ("2(b)", "the expected output and its quality", made.output, found.performance, found.calibration_error),
        (
            "2(b)",
            "trade-offs made to meet the requirements of Chapter III, Section 2",
            made.threshold,
            found.diagnostic_figures,
        ),
        ("2(c)", "architecture: how software components build on one another", made.architecture, made.software),
        ("2(c)", "computing resources to develop, train, test and validate", found.resources, made.training_resources),
        ("2(d)", "training methods and techniques", made.training, made.initialisation),
        (
            "2(d)",
            "data sets: description, provenance, scope, main characteristics",
            made.data_sources,
            found.provenance,
            made.partitions,
        ),
        ("2(d)", "how the data were obtained and selected", made.selection),
        ("2(d)", "labelling", made.reference_standard),
        ("2(d)", "cleaning, such as finding outliers", made.preprocessing, made.gate),
        ("2(d)", "bias that may hurt persons, and gaps in the data (Article 10)", found.fairness, found.limitations),
        ("2(e)", "assessment of human oversight (Article 14)", made.oversight),
        (
            "2(e)",
            "means for deployers to interpret the output (Article 13(3)(d))",
            found.explainability,
            found.calibration_error,
        ),
        ("2(e)", "an assessment by the persons who would oversee it, at their place"),
    ),
)

CLAIM = Checklist(
    "claim",
    "CLAIM, 2024 update",
    "Tejani, Klontzas, Gatti et al.: Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 Update. "
    "Radiology: Artificial Intelligence 6(4):e240300, 2024.",
    "For a paper about the run: what its methods and results can take from here.",
    _items(
        ("1", "title or abstract name the technology", made.technology),
        ("2", "structured abstract"),
        ("3", "background, intended use and role", made.purpose),
        ("4", "aims and hypotheses"),
        ("5", "prospective or retrospective", made.data_sources),
        ("6", "goal of the study", made.purpose),
        ("7", "sources of data", made.data_sources, found.provenance),
        ("8", "criteria of inclusion and exclusion", made.selection),
        ("9", "preprocessing", made.preprocessing),
        ("10", "choice of subsets", made.partitions),
        ("11", "de-identification"),
        ("12", "missing data", found.missing_data),
        ("13", "how images were acquired"),
        ("14", "how the reference standard was obtained", made.reference_standard),
        ("15", "why that standard"),
        ("16", "who annotated, with what training"),
        ("17", "annotation of the test set", made.reference_standard),
        ("18", "agreement between and within annotators"),
        ("19", "how data were assigned to partitions", made.partitions),
        ("20", "level at which partitions are disjoint", made.partitions),
        ("21", "intended sample size", found.sample),
        ("22", "the model in detail", made.architecture, made.output),
        ("23", "software", made.software),
        ("24", "first weights", made.initialisation),
        ("25", "training", made.training),
        ("26", "how the final model was chosen", made.optimised_for),
        ("27", "ensembling", made.ensembling),
        ("28", "metrics", found.performance),
        ("29", "uncertainty and significance", found.uncertainty),
        ("30", "robustness and sensitivity", found.robustness),
        ("31", "explainability", found.explainability),
        ("32", "evaluation on internal data", found.internal_evaluation),
        ("33", "testing on external data", found.external_evaluation),
        ("34", "registration of the trial"),
        ("35", "numbers included and excluded", found.sample),
        ("36", "characteristics of the cases in each partition", made.partitions, found.subgroups),
        ("37", "performance with uncertainty", found.performance, found.by_class),
        ("38", "diagnostic performance and its precision", found.diagnostic_figures),
        ("39", "analysis of failures", found.failures),
        ("40", "limitations", found.limitations),
        ("41", "implications for practice", made.purpose),
        ("42", "full protocol"),
        ("43", "availability of software, model and data", made.availability),
        ("44", "funding"),
    ),
)

STARD_AI = Checklist(
    "stard-ai",
    "STARD-AI",
    "Bossuyt, Reitsma, Bruns et al.: STARD 2015. BMJ 351:h5527, 2015; Sounderajah et al.: the STARD-AI reporting "
    "guideline. Nature Medicine, 2025.",
    "Numbers are those of STARD 2015, on which STARD-AI stands. What STARD-AI adds is marked AI, by topics and not by "
    "its own numbers.",
    _items(
        ("1", "named as a study of diagnostic accuracy, with a measure of it", found.diagnostic_figures),
        ("2", "structured summary"),
        ("3", "background, intended use and role of the index test", made.purpose),
        ("4", "objectives and hypotheses"),
        ("5", "data collected before or after the tests", made.data_sources),
        ("6-9", "eligibility, how participants were found, where and when, which series", made.selection),
        ("AI", "source, collection and licence of the data", made.data_sources, found.provenance),
        ("AI", "annotation", made.reference_standard),
        ("AI", "capture and preprocessing", made.preprocessing),
        ("AI", "partitions, and what keeps them apart", made.partitions),
        ("10a", "index test, so that it can be repeated", made.identity, made.architecture, made.software),
        ("AI", "version and interface of the index test; who operates it", made.availability, made.oversight),
        ("10b", "reference standard, likewise", made.reference_standard),
        ("11", "why that standard"),
        ("12a", "cut-offs of the index test, and whether set beforehand", made.threshold),
        ("12b", "cut-offs of the reference standard", made.reference_standard),
        ("13a-13b", "who knew of which result"),
        ("14", "how accuracy was estimated and compared", found.uncertainty),
        ("15", "indeterminate results", made.gate, found.withheld),
        ("16", "missing data", found.missing_data),
        ("17", "variability, planned or not", found.subgroups),
        ("18", "sample size", found.sample),
        ("AI", "errors of the algorithm and how they were looked at", found.failures),
        ("AI", "bias and fairness", found.fairness),
        ("19", "flow of participants"),
        ("20", "characteristics of participants", found.subgroups),
        ("21a-21b", "spread of severity and of other diagnoses"),
        ("22", "time and treatment between the tests"),
        ("23", "index test against reference standard, cross-tabulated", found.by_class),
        ("24", "accuracy and its precision", found.diagnostic_figures, found.performance),
        ("25", "harm done by the tests"),
        ("AI", "evaluation on other data, and how far results carry", found.external_evaluation, found.robustness),
        ("26", "limitations", found.limitations),
        ("27", "implications for practice", made.purpose),
        ("28-30", "registration, protocol, funding"),
        ("AI", "availability of data and code; interests; audit by others", made.availability),
    ),
)

TRIPOD_AI = Checklist(
    "tripod-ai",
    "TRIPOD+AI",
    "Collins, Moons, Dhiman et al.: TRIPOD+AI statement. BMJ 385:e078378, 2024.",
    "For a paper about the run, as with CLAIM.",
    _items(
        ("1-2", "title, abstract"),
        ("3a-3c", "context, target population, health inequalities"),
        ("4", "objectives", made.purpose),
        ("5a", "sources of data", made.data_sources, found.provenance),
        ("5b", "dates of the data"),
        ("6a-6c", "setting, eligibility, treatments", made.selection),
        ("7", "data preparation", made.preprocessing),
        ("8a-8c", "definition and assessment of the outcome", made.reference_standard),
        ("9a-9c", "predictors", made.preprocessing),
        ("10", "sample size", found.sample),
        ("11", "missing data", found.missing_data),
        ("12a-12d", "use of data, handling, type of model, heterogeneity", made.architecture, made.training),
        ("12e", "measures of performance", found.performance),
        ("12f", "updating of the model", found.calibration_error),
        ("12g", "how predictions were calculated", made.output),
        ("13", "class imbalance", made.optimised_for),
        ("14", "fairness", found.fairness),
        ("15", "output", made.output),
        ("16", "differences between training and evaluation data", found.internal_evaluation),
        ("17", "ethical approval"),
        ("18a-18f", "funding, interests, protocol, registration, data and code", made.availability),
        ("19", "involvement of patients and the public"),
        ("20a-20c", "flow and characteristics of participants", made.partitions),
        ("21", "numbers in each analysis", found.sample),
        ("22", "the full model, for use", made.availability),
        ("23a", "performance with intervals, in subgroups", found.performance, found.subgroups),
        ("23b", "heterogeneity between clusters", found.provenance),
        ("24", "results of updating", found.calibration_error),
        ("25-26", "interpretation and limitations", found.limitations),
        ("27a-27c", "usability in care, and future research"),
    ),
)

ALL = (MODEL_FACTS, ANNEX_IV, CLAIM, STARD_AI, TRIPOD_AI)
