"""How well a model classifies images, whoever made it: accuracy, calibration, confusions, throughput.

from nas.models.validate import validate
validation = validate("model/", "PHOTOS")
validation.top1, validation.calibration.ece
"""

from nas.models.validate.record import Calibration, Validation
from nas.models.validate.run import validate

__all__ = ["Calibration", "Validation", "validate"]
