"""LeNet-3C1L on Fashion-MNIST.

Source: Any-Width Networks (Vu et al. 2020) and Table 2: AUC 90.67 % at four fixed widths, 91.06 % with random
sampling. Here every width is trained, nested.

    python train.py --config=configs/lenet_fmnist.py
"""

from awn_jax import config as configs


def get_config():
    config = configs.default()
    config.data.name = "fashion_mnist"
    config.data.mean = (0.2860,)
    config.data.std = (0.3530,)
    config.train.epochs = 20.0
    return config
