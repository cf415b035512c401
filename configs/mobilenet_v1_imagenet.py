"""MobileNetV1 on ImageNet, with the recipe of the slimmable network.

Source: Slimmable Neural Networks (Yu et al. 2019): top-1 error 28.5, 30.5, 35.2 and 46.9 % at widths 1, ¾, ½ and ¼;
Universally Slimmable Networks (Yu & Huang 2019) reports 28.2, 30.5, 35.8 and 44.3 %. `us_net` has the recipe of its own
publication. No any-width result is published. The default trains every width, nested.

Not yet run. Images are TFDS's `imagenet2012`, or a folder's: `--config.data.name=folder:PATH --config.data.test_split=val`.

    python train.py --config=configs/mobilenet_v1_imagenet.py
    python train.py --config=configs/mobilenet_v1_imagenet.py:s_net      # another method, see awn_jax/config/methods.py
"""

from awn_jax import config as configs

EPOCHS = 480.0
# US-Nets are published with another recipe.
US_NET = {
    "train.epochs": 250.0,
    "train.batch_size": 1024,
    "train.learning_rate": 0.5,
    "train.schedule": "linear",
}
RECIPES = dict.fromkeys(("us_net", "us_net_distilled"), US_NET)


def get_config(method="awn"):
    config = configs.default("mobilenet_v1")
    config.model.grid = 32
    config.data.name = "imagenet2012"
    config.data.test_split = "validation"  # the set's own test images have no labels
    config.data.image_size = (224,)
    config.data.crop = 0.875
    config.data.mean = (0.485, 0.456, 0.406)
    config.data.std = (0.229, 0.224, 0.225)
    config.data.augment = "random_resized_crop, flip"
    config.train.momentum = 0.9
    config.train.nesterov = True
    config.train.weight_decay = 1e-4
    config.train.decays = "kernels"
    config.widths.calibration = "running"
    config.train.epochs = EPOCHS
    config.train.batch_size = 160
    config.train.learning_rate = 0.045
    config.train.decay_at = tuple(epoch / EPOCHS for epoch in range(1, int(EPOCHS)))
    config.train.decay_factor = 0.98
    return configs.apply(config, method, RECIPES)
