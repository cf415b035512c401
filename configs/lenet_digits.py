"""LeNet-3C1L on scikit-learn's handwritten digits, 1,797 real images that come with the dependency: the demonstration.

Network: the paper's (Any-Width Networks, Vu et al. 2020), all widths nested; a recipe of its own, for a short run.
Expected: test AUC ≥ 0.97 over all widths in [0.25, 1].

    python train.py --config=configs/lenet_digits.py
    python train.py --config=configs/lenet_digits.py:us_net      # another method, see awn_jax/config/methods.py
"""

from awn_jax import config as configs


def get_config(method="awn"):
    config = configs.default("lenet_3c1l")
    config.data.name = "digits"
    config.data.mean = (0.3049,)
    config.data.std = (0.3245,)
    config.train.epochs = 12.0
    config.train.batch_size = 32
    config.train.learning_rate = 0.02
    config.train.schedule = "cosine"
    return configs.apply(config, method)
