"""MobileNetV2 on CIFAR-100, every method for 100 epochs with the recipe that the paper gives the rivals.

Source: Any-Width Networks (Vu et al. 2020) trains its methods for different numbers of epochs, see
`mobilenet_v2_cifar100.py`; this one compares them at an equal one. The default trains every width, nested.

Not yet run.

    python train.py --config=configs/mobilenet_v2_cifar100_equal.py
    python train.py --config=configs/mobilenet_v2_cifar100_equal.py:us_net      # another method, see awn_jax/config/methods.py
"""

from awn_jax import config as configs


def get_config(method="awn"):
    config = configs.default("mobilenet_v2")
    config.model.form = "cifar"
    # Of whose moments .35, ½ and ¾ are some: 27 sub-networks in [.35, 1], in place of 1,826.
    config.model.grid = 40
    config.widths.minimum = 0.35
    config.widths.fixed = (0.35, 0.5, 0.75, 1.0)
    config.data.name = "cifar100"
    config.data.mean = (0.5071, 0.4865, 0.4409)
    config.data.std = (0.2673, 0.2564, 0.2762)
    config.data.augment = "crop_flip"
    config.widths.calibration = "running"
    config.train.epochs = 100.0
    config.train.learning_rate = 0.1
    config.train.schedule = "linear"
    config.train.weight_decay = 5e-4
    return configs.apply(config, method)
