"""Networks: a file for each way in which tasks share."""

from fusionseg.networks.base import Network
from fusionseg.networks.hard_sharing import HardSharing

__all__ = ["HardSharing", "Network"]
