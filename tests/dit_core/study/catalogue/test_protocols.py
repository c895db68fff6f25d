"""The protocols are the ones that records were measured under: their hashes never change."""

from __future__ import annotations

from dit_core.evaluate.protocol.definition import definition_sha256
from dit_core.study.catalogue.protocols import PROTOCOLS

# The first half of each definition's sha256.
DEFINITIONS = {
    "fid-50k": "2f55583b6f4efc9c0ecb68f4b6274792",
    "fid-10k": "567d56acc650cedc72f38041be015174",
    "digits": "a4b22a5f6811a6e2144b3909366c0c8c",
    "digits-completion": "ab4ca16661d7a091a65e937a51b9d828",
    "digits-coarse": "ba891ba8c7c319f234944caa619717d5",
    "digits-obedience": "c9797400df8801c0562a2f4b6ae7ed8d",
    "vectors": "e061a118b20890c558ae7bee5d6a0665",
    "fields": "47dbe09a833c4977d4146f7c26a83cb7",
    "dit-scaling": "a8a16daa1e3721fbf763e23c91a80873",
    "dit-table2": "9a9e3c037246ae06e6f011184ad6177c",
    "dit-fig10": "f9625f394f1973f7bdb51af91d8993d7",
    "dit-scaling-512": "ccd63fd62020c931a6742708acc2512c",
    "dit-table2-cfg100": "80cf3b4c243f3bd0f8dbb5c2e72fb693",
    "dit-table2-cfg125": "1451aa5e096d6082da84b58ea5a8e937",
    "dit-table3": "3a9416082d3346fb52d32052e97ca52f",
    "dit-table3-cfg100": "b28a48960ac6a8a640fd2043a02d17a8",
    "dit-table3-cfg125": "1a648c640b8a47a7b1caf13b2b6ee567",
    "dit-scaling-balanced": "52b3e10f08c63dc1cc6ed6b37bd96733",
    "dit-table2-balanced": "7df95363567d19f12be4643c34dbcae8",
    "dit-fig10-balanced": "e5771204fd6a1590aa840abaa180e46b",
    "dit-scaling-512-balanced": "47549ae5699b350a20313c51e647b3e0",
    "dit-table2-cfg100-balanced": "c0e88cb366f4614a172bbb0670e3bdd7",
    "dit-table2-cfg125-balanced": "0b4bdcd87202bacfaf84b9a0bc59f18f",
    "dit-table3-balanced": "5fbdade3eb8060715c16d1fe6904b02a",
    "dit-table3-cfg100-balanced": "166ec4401a4c21fa06c6ced88b8b3cb8",
    "dit-table3-cfg125-balanced": "4de365ef0bb4b8f86b29709c44f6e1af",
}


def test_the_paper_protocols_draw_labels_as_the_released_script_does():
    paper = {name: row for name, row in PROTOCOLS.items() if name.startswith("dit-")}
    drawn = {name for name, row in paper.items() if row.labels == "drawn"}
    assert {f"{name}-balanced" for name in drawn} == paper.keys() - drawn
    assert len(drawn) == 9
    assert {paper[name].version for name in drawn} == {2}
    assert {paper[f"{name}-balanced"].labels for name in drawn} == {"balanced"}


def test_no_definition_changes():
    assert {name: definition_sha256(row)[:32] for name, row in PROTOCOLS.items()} == DEFINITIONS
