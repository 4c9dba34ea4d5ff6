"""Networks, one file for each way of sharing parameters, and the encoders and decoders they consist of."""

from fusionseg.networks.aspp import ASPP
from fusionseg.networks.backbone import Backbone
from fusionseg.networks.base import Network
from fusionseg.networks.cross_stitch import CrossStitch
from fusionseg.networks.cross_task_attention import CrossTaskAttention
from fusionseg.networks.decoder import Decoder
from fusionseg.networks.fcn import FCN
from fusionseg.networks.hard_sharing import HardSharing
from fusionseg.networks.light_pyramid import LightPyramid
from fusionseg.networks.mtan import MTAN
from fusionseg.networks.pad_net import PADNet
from fusionseg.networks.segnet import SegNet
from fusionseg.networks.slim_unet import SlimUnet

__all__ = [
    "ASPP",
    "FCN",
    "MTAN",
    "Backbone",
    "CrossStitch",
    "CrossTaskAttention",
    "Decoder",
    "HardSharing",
    "LightPyramid",
    "Network",
    "PADNet",
    "SegNet",
    "SlimUnet",
]
