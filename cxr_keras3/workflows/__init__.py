"""Workflows: what a command does once its arguments are read, wired from the rooms below."""
