"""The lines of a model card that open the file, executed as they stand."""

import torch

from poa_mm.export import card_paths


def check_snippet(card, path, net, monkeypatch):
    """Check that they give the features of the sub-network; images have as many channels as it."""
    assert f'```python\n{card.snippet}\n```' in card_paths(path, card.format)[1].read_text()
    monkeypatch.chdir(path.parent)
    names = {}
    exec(card.snippet, names)
    batch = torch.as_tensor(names['images'])
    channels = {'grey': 1}.get(card.preprocessing['channels'], card.preprocessing['channels'])
    assert batch.shape == (1, channels, *card.preprocessing['image_size'])
    stock = card.format in ('mmpretrain', 'safetensors')
    with torch.no_grad():
        expected = net(batch, card.subnet)[-1] if stock else net.tokens(batch, card.subnet)[0]
    got = torch.as_tensor(names['features'])
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * expected.abs().max().item())
