"""The classifier: backbone, global average pooling, dropout, one linear layer."""
