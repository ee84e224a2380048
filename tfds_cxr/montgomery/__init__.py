"""Montgomery County chest films: its table and its builder."""
