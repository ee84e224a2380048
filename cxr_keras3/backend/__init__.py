"""What computes under Keras: the backend, its devices, fast convolutions for JAX on a CPU."""
