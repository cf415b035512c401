"""A folder of photographs of any size, with the cut-down MobileNetV2 that a laptop trains; mean and deviation are computed.

    python train.py --config=configs/mobilenet_v2_small_folder.py --config.data.name=folder:PATH
    python train.py --config=configs/mobilenet_v2_small_folder.py:us_net --config.data.name=folder:PATH

PATH holds `train/<class>/…` and `test/<class>/…` (or what `data.test_split` says), or `<class>/…` alone, of which a fifth is
then held out for the test. A tenth of the training images is kept apart and scored after every fifth epoch. The recipe is the
project's own, and not tuned.
"""

from awn_jax import config as configs

WIDER = {"model.multiplier": 0.7}
RECIPES = {"awn": WIDER, "awn_fixed": WIDER, "awn_random": WIDER}


def get_config(method="awn"):
    config = configs.default("mobilenet_v2")
    config.model.form = "cifar"
    config.model.stem_stride = 2
    config.model.blocks = (1, 1, 1, 1, 1, 1, 1)
    config.model.multiplier = 0.5
    config.model.grid = 16
    config.data.name = "folder:photographs"
    config.data.image_size = (96,)
    config.data.augment = "random_resized_crop(least=0.35), flip, colour_jitter"
    config.data.validation = 0.1
    config.widths.calibration = "running"
    config.train.epochs = 60.0
    config.train.batch_size = 20
    config.train.learning_rate = 0.02
    config.train.schedule = "cosine"
    config.train.validate_every = 5.0
    config.train.weight_decay = 5e-4
    return configs.apply(config, method, RECIPES)
