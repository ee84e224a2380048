"""The run folder, which training leaves behind and every other command starts from."""
