"""From a study to submitted arrays: look, decide, price, submit."""
