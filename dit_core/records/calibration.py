"""results/bench/calibration.json: this machine's measured speed, by `ditlab bench --save`."""

from __future__ import annotations

from dit_core.errors import RecordError
from dit_core.records.disk.files import read_json
from dit_core.records.paths import Store
from dit_core.study.price.predict import Calibration


def read_calibration(store: Store, device: str) -> Calibration | None:
    """Return the calibration of `device`; None if never measured; raise RecordError if torn."""
    path = store.calibration
    try:
        entry = read_json(path)["devices"].get(device)
        return Calibration.of(entry) if entry is not None else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (AttributeError, KeyError, TypeError) as error:
        raise RecordError(
            f"{path}: is no calibration ({error}); `ditlab bench --save` makes it again"
        ) from error
