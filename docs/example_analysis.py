# %% [markdown]
# # Looking at results from Python
#
# A script in notebook style: each `# %%` starts a cell. It reads the results folder named by
# `DITLAB_RESULTS` (else `./results`), so run a study first: `ditlab run studies/digits.yaml`.

# %%
import numpy as np

from analysis.tables.load import metrics, results, runs, sql

# %% [markdown]
# One row per run; the units are with the frame.

# %%
frame = runs()
print(frame[["name", "model_size", "patch", "fwd_gmacs", "outcome"]].head(8).to_string(index=False))
for name in ("fwd_gmacs", "train_flops"):
    print(f"{name} is in {frame.attrs['units'][name]}")
if frame.attrs["problems"]:
    print(
        f"{frame.attrs['problems']} damaged places in the records are left out; `ditlab doctor` "
        "names them"
    )

# %% [markdown]
# One row per evaluation with the columns of its run beside it. Only rows measured alike may share
# an axis: here the most common protocol, at the end of training, with the most sampling steps.

# %%
measured = results()
metric = next(
    c for c in measured.columns if f"{c}_low" in measured.columns and c.startswith(("fid", "fd"))
)
alike = measured[
    (measured["images_seen"] == measured["train_images"])
    & (measured["protocol_hash"] == measured["protocol_hash"].mode()[0])
    & (measured["steps"] == measured["steps"].max())
    & (measured["guidance"] == 1.0)
    & measured[metric].notna()
]
best = alike.sort_values(metric).head(5)
columns = ["model_size", "patch", "fwd_gmacs", metric, f"{metric}_low", f"{metric}_high"]
print(best[columns].to_string(index=False))

# %% [markdown]
# How compute and quality go together (`ditlab figures` draws this with intervals).

# %%
compute = np.log10(alike["fwd_gmacs"].astype(float))
quality = np.log10(alike[metric].astype(float))
if len(alike) > 2:
    print(
        f"correlation of log Gmacs and log {metric} over {len(alike)} evaluations: "
        f"{compute.corr(quality):+.2f}"
    )

# %% [markdown]
# The training curve of one run, and a question in SQL.

# %%
curve = metrics(run=frame["run_id"].iloc[0])
print(curve[["images", "loss", "images_per_s"]].tail(3).to_string(index=False))
print(
    sql(
        "SELECT model_size, count(*) AS runs, sum(device_hours) AS hours FROM runs GROUP BY ALL "
        "ORDER BY runs DESC"
    )
)
