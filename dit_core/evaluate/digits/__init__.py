"""The small digit classifier in whose feature space `fd_digits` is measured."""
