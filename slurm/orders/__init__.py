"""What a submission leaves on disk: intents, payloads, code snapshots."""
