"""The loops of docs/own-loop.md, as they stand there: by hand and with the helper they give the same network."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from pronas.training import load_model

PAGE = (Path(__file__).parents[2] / "docs" / "own-loop.md").read_text("utf-8")


def test_the_page_s_loops_agree_and_the_network_ships(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    names: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "own-loop.md", "exec"), names)
    network, helped = names["network"], names["helped"]
    assert network.drop_path_progress == helped.drop_path_progress == 1
    for (name, one), two in zip(network.state_dict().items(), helped.state_dict().values(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6, msg=name)
    assert all(layer.weight.abs().max() <= layer.latent_bound for layer in helped.quantized_layers())
    assert "% of the test images" in capsys.readouterr().out
    shipped = load_model("model").network.state_dict()
    assert all(torch.equal(shipped[name], value) for name, value in helped.state_dict().items())
