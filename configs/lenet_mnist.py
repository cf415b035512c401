"""LeNet-3C1L on MNIST.

Source: Any-Width Networks (Vu et al. 2020), Table 1: test accuracy 98.97 / 98.87 / 98.82 / 98.43 % at widths 1, ¾, ½, ¼,
trained at these four. Here every width is trained, nested.

Measured: test top-1 99.33 / 99.31 / 99.20 / 98.65 % at widths 1, ¾, ½, ¼; AUC 99.23 % over all 35 widths in [0.25, 1]
(mean of 10 evenly spaced: 99.19). The weights of the last step, one run, seed 0; 2 cores of an AMD EPYC (Zen 4),
JAX 0.10.2, Flax 0.12.8.

    python train.py --config=configs/lenet_mnist.py
    python train.py --config=configs/lenet_mnist.py:us_net      # another method, see awn_jax/config/methods.py
"""

from awn_jax import config as configs


def get_config(method="awn"):
    config = configs.default("lenet_3c1l")
    config.data.name = "mnist"
    config.data.mean = (0.1307,)
    config.data.std = (0.3081,)
    config.train.epochs = 20.0
    return configs.apply(config, method)
