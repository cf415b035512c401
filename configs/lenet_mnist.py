"""LeNet-3C1L on MNIST.

Source: Any-Width Networks (Vu et al. 2020), Table 1: test accuracy 98.97 / 98.87 / 98.82 / 98.43 % at widths 1, ¾, ½, ¼,
trained at these four. Here every width is trained, nested.

    python train.py --config=configs/lenet_mnist.py
"""

from awn_jax import config as configs


def get_config():
    config = configs.default()
    config.data.name = "mnist"
    config.data.mean = (0.1307,)
    config.data.std = (0.3081,)
    config.train.epochs = 20.0
    return config
