"""What several commands share: options, the progress bar, naming a study."""
