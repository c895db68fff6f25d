"""The U-Net behind the Transformer's call: shapes, start, labels, weights from a file."""

from __future__ import annotations

import pytest
import torch
from dit_sciences import inputs, shaken, unet

from dit_core.errors import UserError
from dit_core.evaluate.samples.generate import network_of
from dit_core.model.build import build_model
from dit_core.study.science.science import Data, Flow


@pytest.mark.parametrize(
    "shape", [{}, {"levels": 1, "attention": "none"}, {"levels": 3, "attention": "all"}], ids=str
)
def test_what_goes_in_comes_out(shape):
    for objective, channels in ((None, 2), (Flow(), 1)):
        science = unet(objective=objective, **shape)
        network = shaken(build_model(science))
        x, t, y = inputs(science)
        assert network(x, t, y).shape == (3, channels, 8, 8)
        assert network.null_class == 10


def test_rectangles_of_several_channels():
    science = unet(
        data=Data(name="maps", kind="npz", channels=3, height=4, width=12, classes=2, images=10)
    )
    assert build_model(science)(*inputs(science)).shape == (3, 6, 4, 12)


def test_time_and_label_change_the_answer():
    science = unet()
    network = shaken(build_model(science))
    (x, t, y) = inputs(science)
    out = network(x, t, y)
    assert not torch.equal(out, network(x, t + 1, y))
    assert not torch.equal(out, network(x, t, (y + 1) % 11))


def test_the_start_is_a_function_of_the_seed_and_answers_zero():
    starts = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        starts.append(torch.cat([p.flatten() for p in build_model(unet()).parameters()]))
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    assert all(start.isfinite().all() for start in starts)
    science = unet()
    assert not build_model(science)(*inputs(science)).any()


def test_weights_of_a_file_give_the_same_network():
    science = unet(attention="all")
    network = shaken(build_model(science)).requires_grad_(False).eval()
    loaded = network_of(science, network.state_dict(), torch.device("cpu"))
    given = inputs(science)
    with torch.no_grad():
        assert torch.equal(network(*given), loaded(*given))


def test_gradient_checkpointing_gives_the_same_gradients():
    science = unet()
    found = []
    for on in (False, True):
        network = shaken(build_model(science, grad_checkpoint=on))
        network(*inputs(science)).square().sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    assert torch.equal(*found)


def test_the_network_is_one_graph_to_the_compiler():
    science = unet()
    network = shaken(build_model(science))
    given = inputs(science)
    compiled = torch.compile(network, fullgraph=True, dynamic=False, backend="eager")
    assert torch.equal(compiled(*given), network(*given))


def test_wrong_inputs_are_named():
    science = unet()
    network = build_model(science)
    (x, t, y) = inputs(science)
    with pytest.raises(UserError, match=r"takes \(batch, 1, 8, 8\), but was given \(3, 1, 4, 4\)"):
        network(x[:, :, :4, :4], t, y)
    with pytest.raises(
        UserError, match="label 11 is out of range: classes are 0 to 9, and 10 is the null class"
    ):
        network.check_labels(torch.tensor([3, 10, 11]))
