"""ResNet-50 on ImageNet, with the recipe of the slimmable network.

Source: Slimmable Neural Networks (Yu et al. 2019): top-1 error 24.0, 25.1, 27.9 and 35.0 % at widths 1, ¾, ½ and ¼. No any-
width result is published. The default trains every width, nested.

Not yet run. Images are TFDS's `imagenet2012`, or a folder's: `--config.data.name=folder:PATH --config.data.test_split=val`.

    python train.py --config=configs/resnet50_imagenet.py
    python train.py --config=configs/resnet50_imagenet.py:s_net      # another method, see awn_jax/config/methods.py
"""

from awn_jax import config as configs


def get_config(method="awn"):
    config = configs.default("resnet")
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
    config.train.epochs = 100.0
    config.train.batch_size = 256
    config.train.learning_rate = 0.1
    config.train.decay_at = (0.3, 0.6, 0.9)
    return configs.apply(config, method)
