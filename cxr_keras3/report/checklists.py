"""The items of two reporting checklists, and what a report made by a program can and cannot say to each.

CLAIM: Mongan, Moy & Kahn, "Checklist for Artificial Intelligence in Medical Imaging", Radiology: Artificial
Intelligence 2(2), 2020. TRIPOD+AI: Collins et al., BMJ 385:e078378, 2024. Items are named in our words.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """One item.

    Attributes:
        number: In its checklist.
        topic: What it asks for, in a few words.
        answer: What fills it: the section of the report, or a fact; empty where only the authors of a study can.
    """

    number: str
    topic: str
    answer: str


DATA_CARD = "the data card of tfds_cxr"
CONFIGURATION = "How it was trained, below; manifest.json"

CLAIM = (
    Item("1-4", "title, abstract, background, objectives", ""),
    Item("5", "prospective or retrospective", "retrospective: published collections"),
    Item("6", "study goal", "first screen: research on shortcut learning, no clinical use"),
    Item("7", "data sources", DATA_CARD + "; by source, below"),
    Item("8", "eligibility criteria", ""),
    Item("9", "preprocessing", "one path from file to model (cxr_keras3.images), resizing inside the model"),
    Item("10", "selection of data subsets", "all readable images; split by group (ADR 0007)"),
    Item("11", "definition of data elements", DATA_CARD),
    Item("12", "de-identification", ""),
    Item("13", "missing data", "images without lung masks or known source are counted, below"),
    Item("14", "definition of the reference standard", "the database's class folders; no other reference"),
    Item("15-18", "choice, annotators, tools and variability of the reference standard", ""),
    Item("19", "sample size and how it was set", ""),
    Item("20", "partitions", "counts by split and class, below"),
    Item("21", "level at which partitions are disjoint", "patient where known, else near-duplicates (ADR 0007)"),
    Item("22-24", "model, software, initialisation", CONFIGURATION),
    Item("25-26", "training and choice of the final model", CONFIGURATION + "; best epoch by validation macro-F1"),
    Item("27", "ensembling", CONFIGURATION + ": members, where there are any"),
    Item("28", "metrics of performance", "Figures, below"),
    Item("29", "measures of uncertainty", "95 % intervals from a bootstrap over groups"),
    Item("30", "robustness", "Shortcut audit, below"),
    Item("31", "explainability", "exact class activation maps and their share in the lungs, below"),
    Item("32", "testing on external data", "not part of this report: python -m cxr_keras3.evaluate RUN --images DIR"),
    Item("33", "flow of participants", ""),
    Item("34", "demographic and clinical characteristics by partition", ""),
    Item("35", "performance on all partitions", "this split; the others with --split"),
    Item("36", "estimates of diagnostic accuracy", "Figures and Triage, below"),
    Item("37", "failure analysis", "Errors, below"),
    Item("38", "limitations", "first screen and Shortcut audit"),
    Item("39", "implications for practice", "none: not a medical device"),
    Item("40-42", "registration, protocol, funding", ""),
)

TRIPOD_AI = (
    Item("1-2", "title, abstract", ""),
    Item("3a-3c", "context, target population, health inequalities", ""),
    Item("4", "objectives", "first screen"),
    Item("5a", "sources of data", DATA_CARD),
    Item("5b", "dates of the data", ""),
    Item("6a-6c", "setting, eligibility, treatments", ""),
    Item("7", "data preparation", "one path from file to model (cxr_keras3.images)"),
    Item("8a-8c", "definition and assessment of the outcome", ""),
    Item("9a-9c", "predictors", "the film alone; no clinical data"),
    Item("10", "sample size", ""),
    Item("11", "missing data", "images without lung masks or known source are counted, below"),
    Item(
        "12a-12d", "analysis: use of data, handling, type of model, heterogeneity", CONFIGURATION + "; by source, below"
    ),
    Item("12e", "measures of performance", "Figures, Calibration and Triage, below"),
    Item("12f", "model updating", "calibration on the validation split; none after"),
    Item("12g", "how predictions were calculated", "cxr_keras3.predict with calibration.json"),
    Item("13", "class imbalance", CONFIGURATION + ": class balance; prevalences stated under Triage"),
    Item("14", "fairness", "by source and age group; sex and origin of patients are not in the database"),
    Item("15", "output of the model", "calibrated probabilities, flag and prediction set"),
    Item("16", "differences between training and evaluation data", "splits of the same database: none but by chance"),
    Item("17", "ethical approval", ""),
    Item("18a-18f", "funding, interests, protocol, registration, data and code", "code and data recipe: this package"),
    Item("19", "patient and public involvement", ""),
    Item("20a-20c", "flow and characteristics of participants", ""),
    Item("21", "numbers in each analysis", "stated with each figure"),
    Item("22", "full model for use", "model.keras, manifest.json and calibration.json in the run folder"),
    Item("23a", "performance with intervals, in subgroups", "Figures; by source and age group, below"),
    Item("23b", "heterogeneity between clusters", "by source and leave-one-source-out, below"),
    Item("24", "results of model updating", "Calibration, below"),
    Item("25-26", "interpretation and limitations", "first screen and Shortcut audit"),
    Item("27a-27c", "usability in current care and future research", ""),
)
