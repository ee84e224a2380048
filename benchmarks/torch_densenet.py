"""A plain DenseNet121 in torch, the baseline of the benchmark of scoring.

Huang et al., "Densely Connected Convolutional Networks", CVPR 2017, table 1. Its 6,953,856 weights before the
classifier are those of torchvision's.
"""

import torch
from torch import nn

BLOCKS = (6, 12, 24, 16)
GROWTH = 32


def _step(channels: int, out_channels: int, size: int) -> nn.Sequential:
    """BatchNorm, ReLU, convolution."""
    convolution = nn.Conv2d(channels, out_channels, size, padding=size // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True), convolution)


class DenseLayer(nn.Module):
    """A bottleneck of 1x1 and 3x3, whose maps are added to those that came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_step(channels, 4 * GROWTH, 1), _step(4 * GROWTH, GROWTH, 3))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Float32 (B, C, h, w) to (B, C + 32, h, w)."""
        return torch.cat([maps, self.layers(maps)], dim=1)


def densenet121(class_count: int) -> nn.Module:
    """From float32 (B, 3, 224, 224) to logits (B, class_count), with random weights."""
    channels = 2 * GROWTH
    layers: list[nn.Module] = [
        nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]
    for index, depth in enumerate(BLOCKS):
        for _ in range(depth):
            layers.append(DenseLayer(channels))
            channels += GROWTH
        if index < len(BLOCKS) - 1:
            layers += [_step(channels, channels // 2, 1), nn.AvgPool2d(2)]
            channels //= 2
    layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(channels, class_count))
