"""Commands about runs on a cluster and how they stand."""
