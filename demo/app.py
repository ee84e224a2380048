"""The page: one film in, four probabilities out. Built around a predictor, so tests need no browser."""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from cxr_keras3.inference import Predictor

NOTICE = (
    "**Not a medical device.** For research only: the model saw one public database in which each disease "
    "comes from its own hospitals. Do not use it to decide on a patient's care."
)
SYNTHETIC_NOTICE = "**Trained on synthetic images.** What this model says of a real film means nothing."
UPLOAD_LIMIT = "50mb"
# Fonts of the system: Gradio's default theme asks Google for its own.
THEME = gr.themes.Soft(font="system-ui", font_mono="ui-monospace")


def score(predictor: Predictor, file: str | None) -> tuple[np.ndarray | None, dict[str, float] | None, str]:
    """Scores one film.

    Args:
        predictor: The loaded run.
        file: Path of the uploaded file; None where there is none.

    Returns:
        The film as the model sees it, uint8 (299, 299); class name to probability; and a remark. The first
        two are None where the file is refused, and the remark says why.
    """
    if file is None:
        return None, None, "Choose a film first."
    (prediction,) = predictor.predict([Path(file)], batch_size=1)
    if not prediction.accepted:
        return None, None, f"**Not scored.** {prediction.reject_reason}"
    flag = " **Flagged** for a reader." if prediction.flag else ""
    remark = f"Most probable: **{prediction.label}**. Abnormal: {prediction.abnormal_score:.0%}.{flag}"
    return prediction.image, dict(prediction.probabilities), "\n\n".join([remark, *prediction.warnings])


def build(predictor: Predictor) -> gr.Blocks:
    """Builds the page around a predictor."""

    def predict(file: str | None) -> tuple[np.ndarray | None, dict[str, float] | None, str]:
        """Scores a chest X-ray: the film as the model sees it, the four probabilities, and a remark."""
        return score(predictor, file)

    page: gr.Blocks
    with gr.Blocks(title="Chest X-ray", analytics_enabled=False) as page:
        gr.Markdown(f"# Chest X-ray\n{NOTICE}")
        if predictor.manifest.data["synthetic"]:
            gr.Markdown(SYNTHETIC_NOTICE)
        with gr.Row():
            with gr.Column():
                file = gr.File(label="Film: PNG, JPEG, TIFF, WebP or DICOM", type="filepath")
                film = gr.Image(label="As the model sees it", image_mode="L", format="png", interactive=False)
            with gr.Column():
                probabilities = gr.Label(label="Probabilities", num_top_classes=len(predictor.manifest.class_names))
                remark = gr.Markdown()
        file.change(predict, file, [film, probabilities, remark], api_name="predict")
        gr.Markdown(f"Model: `{predictor.manifest.name}`, {predictor.manifest.config['backbone']}")
    return page


def launch(predictor: Predictor, *, host: str, port: int, **options: Any) -> None:  # noqa: ANN401 -- for Gradio
    """Serves the page; returns when the server stops."""
    build(predictor).launch(
        server_name=host,
        server_port=port,
        share=False,
        max_file_size=UPLOAD_LIMIT,
        theme=THEME,
        enable_monitoring=False,
        **options,
    )
