"""LeNet-3C1L on Fashion-MNIST.

Source: Any-Width Networks (Vu et al. 2020), Table 2: AUC 90.67 % at four fixed widths, 91.06 % with random
sampling. Here every width is trained, nested.

Measured: test AUC 91.12 % over all 35 widths in [0.25, 1] (mean of 10 evenly spaced: 91.03); top-1 88.72 / 91.15 / 91.72 /
91.87 % at widths ¼ / ½ / ¾ / 1. The weights of the last step, one run, seed 0; 2 cores of an AMD EPYC (Zen 4), JAX 0.10.2,
Flax 0.12.8. The run was stopped and resumed twice, with other (faster) forms of the same convolutions from step 2,540 on.

    python train.py --config=configs/lenet_fmnist.py
    python train.py --config=configs/lenet_fmnist.py:us_net      # another method, see awn_jax/config/methods.py
"""

from awn_jax import config as configs


def get_config(method="awn"):
    config = configs.default("lenet_3c1l")
    config.data.name = "fashion_mnist"
    config.data.mean = (0.2860,)
    config.data.std = (0.3530,)
    config.train.epochs = 20.0
    return configs.apply(config, method)
