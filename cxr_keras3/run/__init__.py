"""The run folder: manifest, calibration, gate, metrics; read through `Run`, once."""
