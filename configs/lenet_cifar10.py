"""LeNet-3C1L on CIFAR-10.

Source: Any-Width Networks (Vu et al. 2020), Table 2: AUC 71.12 % at four fixed widths, 73.75 % with random
sampling. Here every width is trained, nested.

    python train.py --config=configs/lenet_cifar10.py
    python train.py --config=configs/lenet_cifar10.py:us_net      # another method, see awn_jax/config/methods.py
"""

from awn_jax import config as configs


def get_config(method="awn"):
    config = configs.default("lenet_3c1l")
    config.data.name = "cifar10"
    config.data.mean = (0.4914, 0.4822, 0.4465)
    config.data.std = (0.2470, 0.2435, 0.2616)
    config.data.augment = "crop_flip"
    config.train.epochs = 100.0
    config.train.weight_decay = 5e-4
    return configs.apply(config, method)
