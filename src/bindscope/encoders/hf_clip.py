"""transformers' CLIP text tower over a prefix tree: what captions share at their beginning is computed once."""

from __future__ import annotations

from typing import Any

from bindscope.encoders.prefixes import Layer, PrefixTree, run_layers


def can_share(model: Any, padding_side: str) -> bool:
    """Whether a model is the CLIP that `shared_features` knows: causal, pre-norm, padded on the right."""
    return type(model).__name__ == "CLIPModel" and padding_side == "right"


def shared_features(model: Any, ids: Any) -> Any:
    """get_text_features of token ids `[b, length]`, without the states behind each row's end token."""
    import torch

    tower = model.text_model
    ends = _ends(ids, tower.eos_token_id)
    tree = PrefixTree.of(ids.cpu().numpy(), ends.cpu().numpy() + 1)
    tokens, places, leaves = (torch.from_numpy(x).to(ids.device) for x in (tree.tokens, tree.places, tree.leaves))
    states = tower.embeddings.token_embedding(tokens) + tower.embeddings.position_embedding(places)
    states = run_layers(states, tree, [_layer(layer) for layer in tower.encoder.layers])
    return model.text_projection(tower.final_layer_norm(states[leaves]))


def _ends(ids: Any, end: int) -> Any:
    """Where the model pools: the first end token; in old checkpoints, whose end is 2, the largest id."""
    return ids.argmax(dim=1) if end == 2 else (ids == end).int().argmax(dim=1)


def _layer(layer: Any) -> Layer:
    attention = layer.self_attn

    def project(states: Any) -> tuple[Any, Any, Any]:
        inner = layer.layer_norm1(states)
        return attention.q_proj(inner), attention.k_proj(inner), attention.v_proj(inner)

    return Layer(project, attention.num_heads, attention.out_proj, lambda states: layer.mlp(layer.layer_norm2(states)))
