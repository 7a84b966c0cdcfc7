"""The names of DCGM's binding, for the host engine of the tests."""

from support.dcgm_structures import FieldValueV1, FieldValueV2
from support.dcgm_structures import Pair as c_dcgmGroupEntityPair_t
from support.fake_dcgm import DCGMError

__all__ = ["DCGMError", "FieldValueV1", "FieldValueV2", "c_dcgmGroupEntityPair_t"]
