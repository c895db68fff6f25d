"""The network through torch.compile, where compiling is repaid."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dit_core.errors import EnvironmentProblem
from dit_core.study.price import cost
from dit_core.study.science.execution import Execution
from dit_core.study.science.science import Science

# Compiling on a CPU takes about a minute, so a training must be much longer to repay it. The FLOP/s
# of one core serve this decision alone.
_COMPILE_PAYS_S = 600.0
_CORE_FLOPS_PER_S = 5e10
_COMPILE_PAYS_STEPS = 500  # on a GPU
# A private setting of torch, without a public name as of 2.x: see `keep_backward_precision`.
_BACKWARD_AUTOCAST = "backward_pass_autocast"


def compiled(
    model: nn.Module, science: Science, execution: Execution, device: torch.device
) -> Callable[..., Tensor]:
    """Return the network, through torch.compile where `execution.compile` says so."""
    if execution.compile == "off" or (execution.compile == "auto" and not _pays(science, device)):
        return model
    # The compiler counts all networks of a process together and refuses the ninth.
    torch.compiler.reset()
    keep_backward_precision()
    return torch.compile(model, fullgraph=True, dynamic=False)


def _pays(science: Science, device: torch.device) -> bool:
    if device.type == "cpu":
        return cost.train_flops(science) / _CORE_FLOPS_PER_S > _COMPILE_PAYS_S
    return science.train.steps >= _COMPILE_PAYS_STEPS


def keep_backward_precision() -> None:
    """Have the compiler trace backward passes outside the autocast region of the forward pass.

    By default it traces them inside, unlike eager mode: under bf16 the gradients of the modulations
    are then computed in bf16. Raises EnvironmentProblem where this torch lacks the setting.
    """
    from torch._functorch import config

    try:
        setattr(config, _BACKWARD_AUTOCAST, "off")
    except AttributeError:
        raise EnvironmentProblem(
            f"torch {torch.__version__} has no torch._functorch.config.{_BACKWARD_AUTOCAST}, "
            "without which compiled gradients lose precision; set execution.compile: off, or "
            "install the version of torch that pyproject.toml names"
        ) from None
