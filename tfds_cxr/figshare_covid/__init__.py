"""COVID-19 Chest X-Ray Image Repository (figshare 12580328): its table and its builder."""
