"""MobileNetV2 cut down so that a laptop trains it, on CIFAR-10: one block a stage, half the channels, a stem with stride 2.

Every method has the same 15 epochs, the weight decay and the schedule that Any-Width Networks (Vu et al. 2020) gives the
rivals of the whole network, and the learning rate that it gives AWN there: at theirs, 0.1, a US-Net of this size stays at
chance (an AWN reaches an AUC of 65.9 %). Nothing else was tried. Triangular networks are √2 wider, as in the paper. The
numbers say how the methods compare here, not what MobileNetV2 reaches.

    python train.py --config=configs/mobilenet_v2_small_cifar10.py
    python train.py --config=configs/mobilenet_v2_small_cifar10.py:us_net      # another method, see awn_jax/config/methods.py
"""

from awn_jax import config as configs

WIDER = {"model.multiplier": 0.7}
RECIPES = {"awn": WIDER, "awn_fixed": WIDER, "awn_random": WIDER, "awn_core": {"model.multiplier": 0.6875}}


def get_config(method="awn"):
    config = configs.default("mobilenet_v2")
    config.model.form = "cifar"
    config.model.stem_stride = 2
    config.model.blocks = (1, 1, 1, 1, 1, 1, 1)
    config.model.multiplier = 0.5
    config.model.grid = 16
    config.data.name = "cifar10"
    config.data.mean = (0.4914, 0.4822, 0.4465)
    config.data.std = (0.2470, 0.2435, 0.2616)
    config.data.augment = "crop_flip"
    config.widths.calibration = "running"
    config.train.epochs = 15.0
    config.train.learning_rate = 0.02
    config.train.schedule = "linear"
    config.train.weight_decay = 5e-4
    return configs.apply(config, method, RECIPES)
