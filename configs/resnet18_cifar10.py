"""ResNet-18 with the stem for small images, on CIFAR-10.

Source: Deep Residual Learning (He et al. 2016) for the network; the recipe is the usual one for CIFAR: 200 epochs, learning
rate 0.1 to zero along a cosine, weight decay 5e-4, crops and flips. No any-width result is published. The default trains
every width, nested.

Not yet run.

    python train.py --config=configs/resnet18_cifar10.py
    python train.py --config=configs/resnet18_cifar10.py:us_net      # another method, see awn_jax/config/methods.py
"""

from awn_jax import config as configs


def get_config(method="awn"):
    config = configs.default("resnet")
    config.model.depth = 18
    config.model.form = "cifar"
    config.model.grid = 32
    config.data.name = "cifar10"
    config.data.mean = (0.4914, 0.4822, 0.4465)
    config.data.std = (0.2470, 0.2435, 0.2616)
    config.data.augment = "crop_flip"
    config.widths.calibration = "running"
    config.train.epochs = 200.0
    config.train.learning_rate = 0.1
    config.train.schedule = "cosine"
    config.train.weight_decay = 5e-4
    return configs.apply(config, method)
