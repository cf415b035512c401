"""Makes torch_networks.json and the files beside it: what PyTorch and torchvision give, for test_convert.py.

Run with PyTorch and torchvision installed; it ran with 2.14.1 and 0.29.1.

    python tests/golden/torch_networks.py

The weights of the large networks are not kept: `numbers` gives the same ones again.
"""

import json
import pathlib
import zlib

import numpy as np

HERE = pathlib.Path(__file__).parent
IMAGES = (2, 32, 32, 3)


def numbers(name, shape):
    """Weights or statistics of a layer, from their name and shape alone."""
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return draw.uniform(0.5, 1.5, shape).astype(np.float32)
    scale = 1 if name == "images" else 0.1 if len(shape) < 2 else np.sqrt(2 / np.prod(shape[1:]))
    return (scale * draw.normal(size=shape)).astype(np.float32)


def make():
    import torch
    import torchvision
    from torchvision.models.resnet import BasicBlock, Bottleneck

    class LeNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = torch.nn.Conv2d(1, 4, 3, bias=False), torch.nn.BatchNorm2d(4)
            self.conv2, self.bn2 = torch.nn.Conv2d(4, 4, 3, bias=False), torch.nn.BatchNorm2d(4)
            self.conv3, self.bn3 = torch.nn.Conv2d(4, 4, 5, bias=False), torch.nn.BatchNorm2d(4)
            self.fc = torch.nn.Linear(4 * 2 * 3, 3)

        def forward(self, x):
            x = torch.relu(self.bn1(self.conv1(x)))
            x = torch.max_pool2d(torch.relu(self.bn2(self.conv2(x))), 2)
            x = torch.max_pool2d(torch.relu(self.bn3(self.conv3(x))), 2)
            return self.fc(x.flatten(1))

    def answers(model, shape):
        state = model.state_dict()
        kept = {name: list(tensor.shape) for name, tensor in state.items() if "batches" not in name}
        state.update({name: torch.tensor(numbers(name, size)) for name, size in kept.items()})
        model.load_state_dict(state)
        model.eval()
        with torch.no_grad():
            logits = model(torch.tensor(numbers("images", shape)).permute(0, 3, 1, 2))
        return {"shapes": kept, "logits": logits.numpy().tolist()}

    settings = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 1, 2)]
    mobile = torchvision.models.MobileNetV2(num_classes=5, inverted_residual_setting=[list(row) for row in settings])
    lenet = LeNet()
    found = {
        "basic": answers(torchvision.models.ResNet(BasicBlock, [2, 1, 1, 1], num_classes=5), IMAGES),
        "bottleneck": answers(torchvision.models.ResNet(Bottleneck, [1, 2, 1, 1], num_classes=5), IMAGES),
        "mobilenet_v2": answers(mobile, IMAGES),
        "lenet": answers(lenet, (2, 20, 24, 1)),
    }
    (HERE / "torch_networks.json").write_text(json.dumps(found) + "\n")
    torch.save(lenet.state_dict(), HERE / "lenet.pt")
    # As training scripts keep it: wrapped, beside other things, in the form before; and its channels last in memory.
    wrapped = torch.nn.DataParallel(lenet.to(memory_format=torch.channels_last))
    checkpoint = {"epoch": 3, "optimizer": {"lr": 0.1}, "state_dict": wrapped.state_dict()}
    torch.save(checkpoint, HERE / "lenet_before.pt", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    make()
