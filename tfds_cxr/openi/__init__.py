"""Indiana University chest films in Open-i: its table and its builder."""
