"""A web page that scores a chest X-ray: `python -m demo --model RUN`."""
