"""The paper's numbers and claims, in the shape of one's own results."""
