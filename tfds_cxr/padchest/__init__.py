"""PadChest: its table and its builder."""
