"""Wrote torch.json: one training step of LeNet-3C1L at four widths, layer by layer in PyTorch, in double precision.

    python tests/golden/torch_step.py          # needs PyTorch; reads start.npz beside it

Independent of the library but for the initial weights: masked dense convolutions, a pass for each width, the plain sum of
the losses, SGD with momentum 0.9 and rate 0.01 for two steps, so that the momentum matters.
"""

import json
import pathlib

import numpy as np
import torch
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
CHANNELS, ACTIVE = 6, {0.25: 1, 0.5: 3, 0.75: 4, 1.0: 6}


def main():
    start = {
        name: torch.tensor(value, dtype=torch.float64)
        for name, value in np.load(HERE / "start.npz").items()
        if name != "labels"
    }
    labels = torch.tensor(np.load(HERE / "start.npz")["labels"], dtype=torch.int64)
    # From rows, columns, inputs, outputs to outputs, inputs, rows, columns.
    weights = {f"conv{i}": start[f"conv{i}"].permute(3, 2, 0, 1).contiguous().requires_grad_() for i in (1, 2, 3)}
    weights["dense"] = start["dense"].permute(2, 0, 1).reshape(10, -1).contiguous().requires_grad_()
    weights["bias"] = start["bias"].clone().requires_grad_()
    for i in (1, 2, 3):
        weights[f"scale{i}"] = torch.ones(CHANNELS, dtype=torch.float64, requires_grad=True)
        weights[f"shift{i}"] = torch.zeros(CHANNELS, dtype=torch.float64, requires_grad=True)
    running = {
        i: [torch.zeros(CHANNELS, dtype=torch.float64), torch.ones(CHANNELS, dtype=torch.float64)] for i in (1, 2, 3)
    }
    triangle = torch.tril(torch.ones(CHANNELS, CHANNELS, dtype=torch.float64))[:, :, None, None]
    optimizer = torch.optim.SGD(weights.values(), lr=0.01, momentum=0.9)
    images, losses = start["images"].permute(0, 3, 1, 2), []
    for _ in range(2):
        optimizer.zero_grad()
        step = {}
        for width, k in ACTIVE.items():
            x = images
            for i in (1, 2, 3):
                kernel = weights[f"conv{i}"] * (triangle if i > 1 else 1)
                x = F.conv2d(x, kernel[:k, : (k if i > 1 else 1)])
                # Statistics follow the widest pass, which holds those of all the others.
                mean, var = [r[:k] for r in running[i]] if k == CHANNELS else [r[:k].clone() for r in running[i]]
                x = F.batch_norm(x, mean, var, weights[f"scale{i}"][:k], weights[f"shift{i}"][:k], training=True)
                x = F.relu(x)
                x = F.max_pool2d(x, 2) if i > 1 else x
            loss = F.cross_entropy(F.linear(x.flatten(1), weights["dense"][:, : 16 * k], weights["bias"]), labels)
            loss.backward()
            step[str(width)] = loss.item()
        optimizer.step()
        losses.append(step)
    done = {name: value.detach().numpy() for name, value in weights.items()}
    for i in (1, 2, 3):
        done[f"conv{i}"] = (done[f"conv{i}"] * (triangle.numpy() if i > 1 else 1)).transpose(2, 3, 1, 0)
        done[f"mean{i}"], done[f"var{i}"] = (r.numpy() for r in running[i])
    done["dense"] = done["dense"].reshape(10, CHANNELS, 16).transpose(1, 2, 0)
    content = {"losses": losses, **{name: np.round(value, 14).tolist() for name, value in done.items()}}
    (HERE / "torch.json").write_text(json.dumps(content))


main()
