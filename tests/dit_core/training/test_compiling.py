"""The one private setting of torch that training depends on."""

from __future__ import annotations

import pytest
import torch
from torch._functorch import config

from dit_core.errors import EnvironmentProblem
from dit_core.training import compiling


@pytest.fixture(autouse=True)
def _as_before():
    before = config.backward_pass_autocast
    yield
    config.backward_pass_autocast = before


def test_torch_still_has_the_setting_of_the_backward_precision():
    assert hasattr(config, compiling._BACKWARD_AUTOCAST), (
        f"torch {torch.__version__} renamed {compiling._BACKWARD_AUTOCAST}: "
        "find in torch/_functorch/config.py what keeps compiled backward passes out of autocast, "
        "and name it in dit_core/training/compiling.py"
    )


@pytest.mark.slow
def test_a_compiled_backward_pass_is_traced_outside_the_autocast_of_the_forward():
    def loss_of(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):  # as the modulations of the network
            s = x @ w
        return (s * torch.linspace(0, 1, 8)).square().sum()

    compiling.keep_backward_precision()
    gradients = []
    for call in (loss_of, torch.compile(loss_of, backend="aot_eager")):
        w = torch.full((8, 8), 0.3, requires_grad=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = call(torch.linspace(0, 1, 64).view(8, 8), w)
        loss.backward()
        gradients.append(w.grad)
    assert torch.equal(*gradients), (
        f"torch {torch.__version__}: a compiled backward pass differs from eager mode under bf16; "
        "see keep_backward_precision in dit_core/training/compiling.py"
    )


def test_a_torch_without_the_setting_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(compiling, "_BACKWARD_AUTOCAST", "no_such_setting")
    with pytest.raises(EnvironmentProblem, match=r"no_such_setting.*set execution.compile: off"):
        compiling.keep_backward_precision()
