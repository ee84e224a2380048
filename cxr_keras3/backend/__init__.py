"""What Keras runs on: the backend, its devices, fast convolutions for JAX on a CPU."""
