"""Networks: a file for each way in which tasks share."""

from fusionseg.networks.base import Network
from fusionseg.networks.cross_stitch import CrossStitch
from fusionseg.networks.cross_task_attention import CrossTaskAttention
from fusionseg.networks.hard_sharing import HardSharing
from fusionseg.networks.mtan import MTAN
from fusionseg.networks.pad_net import PADNet

__all__ = ["MTAN", "CrossStitch", "CrossTaskAttention", "HardSharing", "Network", "PADNet"]
