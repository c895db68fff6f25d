"""One file per kind of claim, named as the kind: `judge(claim, source)` returns a finding."""
