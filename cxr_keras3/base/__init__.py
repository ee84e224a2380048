"""What every room stands on: errors, progress, threads, files. Standard library and little else."""
