"""The quick forms of attention and GELU give what the plain ones give."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dit_core.model import layers


def both(f, plain, *given):
    """Return the largest relative differences between f and plain: of the value, then of each
    gradient.
    """
    found = []
    for g, dtype in ((f, given[0].dtype), (plain, torch.float32)):
        leaves = [x.detach().to(dtype).requires_grad_() for x in given]
        out = g(*leaves)
        weights = torch.linspace(-1, 1, out.numel()).view_as(out)
        (out.float() * weights).sum().backward()
        found.append([out.detach().float(), *(x.grad.float() for x in leaves)])
    return [float((a - b).abs().max() / b.abs().max()) for a, b in zip(*found, strict=True)]


@pytest.mark.parametrize("keys", [2, 64, layers.SHORT, layers.SHORT + 1])
def test_bf16_attention_on_cpus_is_exact_to_its_rounding(keys):
    torch.manual_seed(0)
    q, k, v = (torch.randn(3, 2, n, 24).bfloat16() for n in (64, keys, keys))
    assert (
        max(both(layers.attention, F.scaled_dot_product_attention, q, k, v)) < 0.02
    )  # 2^-8 is 0.004


def test_a_mask_hides_keys_from_bf16_attention():
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 2, 6, 24).bfloat16() for _ in range(3))
    mask = torch.tensor([[True, True, True, False, False, False]])
    seen = layers.attention(q, k[:, :, :3], v[:, :, :3])
    torch.testing.assert_close(layers.attention(q, k, v, mask), seen, atol=0.02, rtol=0.02)


def test_the_compilers_gelu_is_gelu(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    x = torch.cat([torch.linspace(-12, 12, 4001), torch.tensor([-1e4, -60.0, 60.0, 1e4])])
    differences = both(layers.gelu, lambda x: F.gelu(x, approximate="tanh"), x[:4001])
    assert 0 < max(differences) < 1e-6  # another form: were it the same, this would test nothing
    far = x[4001:].requires_grad_()
    layers.gelu(far).sum().backward()
    assert far.grad.tolist() == [0, 0, 1, 1]
