"""LeNet-3C1L on CIFAR-100.

Source: Any-Width Networks (Vu et al. 2020), Table 2: AUC 42.69 % at four fixed widths, 43.65 % with random
sampling. Here every width is trained, nested.

    python train.py --config=configs/lenet_cifar100.py
    python train.py --config=configs/lenet_cifar100.py:us_net      # another method, see awn_jax/config/methods.py
"""

from awn_jax import config as configs


def get_config(method="awn"):
    config = configs.default("lenet_3c1l")
    config.data.name = "cifar100"
    config.data.mean = (0.5071, 0.4865, 0.4409)
    config.data.std = (0.2673, 0.2564, 0.2762)
    config.data.augment = "crop_flip"
    config.train.epochs = 100.0
    config.train.weight_decay = 5e-4
    return configs.apply(config, method)
