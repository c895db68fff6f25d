"""The protocols are the ones that records were measured under: their hashes never change."""

from __future__ import annotations

from dit_core.evaluate.protocol.definition import definition_sha256
from dit_core.study.catalogue.protocols import PROTOCOLS

DEFINITIONS = {
    "fid-50k": "2f55583b6f4efc9c0ecb68f4b6274792abedcd325d7dc57702fe469543163a09",
    "fid-10k": "567d56acc650cedc72f38041be015174a84f7a359fd8b4ee1093fb26849dc6e8",
    "digits": "a4b22a5f6811a6e2144b3909366c0c8c7059a6b2bef7dfc2b99e2e789d371f0a",
    "digits-completion": "ab4ca16661d7a091a65e937a51b9d828f788b601fa7b639de37c463187880257",
    "digits-coarse": "ba891ba8c7c319f234944caa619717d5a6f359dfc6d1e3322a906bff477b34f1",
    "digits-obedience": "c9797400df8801c0562a2f4b6ae7ed8d1d93c0ccf032cc53d9a942b0dc7bf351",
    "vectors": "e061a118b20890c558ae7bee5d6a06652ef43b9297322e8172aa9fec21a463b1",
    "fields": "47dbe09a833c4977d4146f7c26a83cb70ff6d8f6efe78f73f4f010e5dde08854",
    "dit-scaling": "74ba15a373bc84b89341e63925ab5a53e706607676252ceb8ad0a6aff777bb9e",
    "dit-table2": "77e763bd59ecc078ccd7591727982ad4c287b7a3ef9d37e9f0db0388b01cec3d",
    "dit-fig10": "63ae26f0cc30308e93e8b81388ef79a8a3658284ae2afdf50c61535765738bfa",
    "dit-scaling-512": "f519e1843ae3461c4789a4b5372ac1cf1f02af37b9d501d67d512634832aa895",
    "dit-table2-cfg100": "b8cdc3f7f70c3538607ec0c8b409693c94716be52ba6cb671a5f44d9da67f2b1",
    "dit-table2-cfg125": "39218c283f10dfc1b2c95e15c4ad59a7ffd4a14ba2702fabc410d31638477079",
    "dit-table3": "ef0ceb8906dd01f41407ec0c58a7816112057782c48d4558b84c3c59f1f202d7",
    "dit-table3-cfg100": "d63b042995754921df000947f39828d49557755f7dae90e93ae5e6b506eb26f9",
    "dit-table3-cfg125": "b5bbf7fed9908395b6102a3d1fc41baed6464f38add7120c25d42f68ebb68b42",
}


def test_no_definition_changes():
    assert {name: definition_sha256(row) for name, row in PROTOCOLS.items()} == DEFINITIONS
