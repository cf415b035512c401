"""MobileNetV2 on CIFAR-10, each method with the paper's recipe for it.

Source: Any-Width Networks (Vu et al. 2020), Table 2: AUC 90.91 % at four fixed widths (`awn_fixed`), 90.72 % with random
sampling (`awn_random`), S-Net 50.97 %, US-Net calibrated at 4, 10 and 20 widths 90.10, 91.98 and 92.09 %. 700 epochs for AWN,
350 with random sampling, 100 for S-Net and US-Net. The default trains every width, nested. With the same epochs for all:
`mobilenet_v2_cifar10_equal.py`.

Not yet run.

    python train.py --config=configs/mobilenet_v2_cifar10.py
    python train.py --config=configs/mobilenet_v2_cifar10.py:us_net      # another method, see awn_jax/config/methods.py
"""

from awn_jax import config as configs

# Decays after 500 and 600 of 700 epochs, and after 250 and 300 of 350.
AWN = {
    "train.epochs": 700.0,
    "train.learning_rate": 0.02,
    "train.schedule": "step",
    "train.decay_at": (5 / 7, 6 / 7),
    "train.decay_factor": 0.2,
    "train.weight_decay": 1e-3,
}
RANDOM = {**AWN, "train.epochs": 350.0, "train.learning_rate": 0.01, "train.decay_factor": 0.1}
RECIPES = {"awn": AWN, "awn_fixed": AWN, "awn_random": RANDOM}


def get_config(method="awn"):
    config = configs.default("mobilenet_v2")
    config.model.form = "cifar"
    # Of whose moments .35, ½ and ¾ are some: 27 sub-networks in [.35, 1], in place of 1,826.
    config.model.grid = 40
    config.widths.minimum = 0.35
    config.widths.fixed = (0.35, 0.5, 0.75, 1.0)
    config.data.name = "cifar10"
    config.data.mean = (0.4914, 0.4822, 0.4465)
    config.data.std = (0.2470, 0.2435, 0.2616)
    config.data.augment = "crop_flip"
    # The rivals' recipe, which methods that are not named above have too.
    config.widths.calibration = "running"
    config.train.epochs = 100.0
    config.train.learning_rate = 0.1
    config.train.schedule = "linear"
    config.train.weight_decay = 5e-4
    return configs.apply(config, method, RECIPES)
