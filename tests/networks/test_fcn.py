import pytest
import torch
from torch import nn

from fusionseg.networks.backbone import Backbone


def test_fcn_is_torchvision_s() -> None:
    from torchvision.models import resnet50
    from torchvision.models._utils import IntermediateLayerGetter
    from torchvision.models.segmentation.fcn import FCN, FCNHead

    body = IntermediateLayerGetter(resnet50(weights=None), {"layer4": "out"})
    theirs = FCN(body, FCNHead(2048, 5)).eval()
    encoder, (decoder,) = Backbone("resnet50", decoder="FCN", options={"output_stride": 32}).build()
    encoder.body.load_state_dict(body.state_dict(), strict=False)
    decoder.body.load_state_dict(theirs.classifier.state_dict(), strict=False)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        logits = theirs.classifier[4](decoder.eval()(encoder.eval()(image)))
        expected = theirs((image - encoder.mean) / encoder.std)["out"]
    ours = nn.functional.interpolate(logits, (64, 96), mode="bilinear")
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("stride", "height"), [(8, 8), (16, 4), (32, 2)])
def test_fcn_sees_at_the_output_stride(stride: int, height: int) -> None:
    encoder, (decoder,) = Backbone("resnet18", decoder="FCN", options={"output_stride": stride}).build()
    assert decoder(encoder(torch.zeros(2, 3, 64, 64))).shape == (2, 128, height, height)
