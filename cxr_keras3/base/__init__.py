"""The ground: errors, progress, threads, and writing files whole or not at all."""
