"""MobileNetV2 on CIFAR-100, each method with the paper's recipe for it.

Source: Any-Width Networks (Vu et al. 2020), Table 2: AUC 70.16 % at four fixed widths (`awn_fixed`), 67.28 % with random
sampling (`awn_random`), S-Net 49.84 %, US-Net calibrated at 4, 10 and 20 widths 66.69, 71.62 and 72.24 %. 100 epochs for AWN,
S-Net and US-Net, 1,050 for AWN with random sampling. The default trains every width, nested. With the same epochs for all:
`mobilenet_v2_cifar100_equal.py`.

Not yet run.

    python train.py --config=configs/mobilenet_v2_cifar100.py
    python train.py --config=configs/mobilenet_v2_cifar100.py:us_net      # another method, see awn_jax/config/methods.py
"""

from awn_jax import config as configs

# Decays after 750 and 900 of 1,050 epochs. At fixed widths, the paper trains it as the rivals.
RANDOM = {
    "train.epochs": 1050.0,
    "train.learning_rate": 0.01,
    "train.schedule": "step",
    "train.decay_at": (5 / 7, 6 / 7),
    "train.decay_factor": 0.1,
    "train.weight_decay": 1e-3,
}
RECIPES = {"awn_random": RANDOM}


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
    # The rivals' recipe, which methods that are not named above have too.
    config.widths.calibration = "running"
    config.train.epochs = 100.0
    config.train.learning_rate = 0.1
    config.train.schedule = "linear"
    config.train.weight_decay = 5e-4
    return configs.apply(config, method, RECIPES)
