"""TFDS builder of NIH ChestX-ray14."""

from collections.abc import Iterator

from tfds_cxr.collections import layout, records
from tfds_cxr.collections.building import CollectionBuilder
from tfds_cxr.collections.table import OTHER_ABNORMAL, Collection, Film
from tfds_cxr.database import AnyPath


def _films(root: AnyPath) -> Iterator[Film]:
    files = layout.files_below(root)
    images = layout.by_name(files)
    columns = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position")
    for row in layout.rows(layout.one(files, "Data_Entry_2017*.csv"), columns):
        name = row["Image Index"]
        known = records.nih_names().get(name)
        yield Film(
            name=name,
            path=images.get(name),
            own_labels=tuple(row["Finding Labels"].split("|")),
            patient=f"nih:{int(row['Patient ID'])}",
            age=layout.number(row["Patient Age"]),
            sex=layout.sex(row["Patient Gender"]),
            view=layout.view(row["View Position"]),
            database_name=known.image_id if known else "",
        )


class Builder(CollectionBuilder):
    """NIH's films, from its table and any folders of images."""

    name = "cxr_nih"
    COLLECTION = Collection(
        name="nih",
        title="NIH ChestX-ray14",
        homepage="https://nihcc.app.box.com/v/ChestXray-NIHCC",
        licence="free for any use, with a link and a citation",
        size="112,120 films of 30,805 patients",
        labelled_by="Language processing of the reports, said to be right in more than 90 %.",
        known_wrong="Readers who looked at the films agree with the labels far less often than stated "
        "(Oakden-Rayner, 2020). RSNA's films, and so 14,863 of the database's, are from here: patients "
        "are shared. A few ages are over 100 years in the first edition of the table.",
        seen="Its table, edition 2020; 220 and 1,000 real files at 1,024 pixels.",
        citation="Wang et al., CVPR 2017, doi:10.1109/CVPR.2017.369",
        classes={
            "No Finding": "Normal",
            "Consolidation": "Lung_Opacity",
            "Edema": "Lung_Opacity",
            "Infiltration": "Lung_Opacity",
            "Pneumonia": "Lung_Opacity",
        },
        otherwise=OTHER_ABNORMAL,
        layout="Data_Entry_2017_v2020.csv (or Data_Entry_2017.csv) and the images, in any folders below",
        is_root=layout.holds("Data_Entry_2017*.csv"),
        films=_films,
    )
