"""Small random models of each family, saved as a user would find them on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CAPTIONS = (
    "a red cube and a blue ball",
    "a blue ball",
    "a green cone and a red cube and a blue ball",
    "a red cube and a green ball",
    "a cube",
)
WORDS = "a and red blue green cube ball cone".split()
SIDE = 32
TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
VISION: dict[str, Any] = {**TOWER, "image_size": SIDE, "patch_size": 8}


def save_clip(folder: Path, eos: int = 1) -> Path:
    """CLIP: causal text tower, pooled at the end token, which pads as well."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    text = {**TOWER, "vocab_size": 40, "max_position_embeddings": 24, "eos_token_id": eos, "bos_token_id": 0}
    config = CLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)
    _save(folder, CLIPModel, config)
    save_tokenizer(folder, length=24)
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def save_siglip(folder: Path, lower: bool = False) -> Path:
    """SigLIP: text tower without a mask that reads its padding and is pooled at the last place."""
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    text = {**TOWER, "vocab_size": 40, "max_position_embeddings": 64, "projection_size": 32}
    _save(folder, SiglipModel, SiglipConfig(text_config=text, vision_config=VISION))
    save_tokenizer(folder, lower=lower, inputs=["input_ids"], start=False, length=64)
    SiglipImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def save_siglip2(folder: Path) -> Path:
    """SigLIP 2 with images of any shape as patches."""
    from transformers import Siglip2Config, Siglip2ImageProcessor, Siglip2Model

    text = {**TOWER, "vocab_size": 40, "max_position_embeddings": 64, "projection_size": 32}
    vision = {**TOWER, "patch_size": 8, "num_patches": 16}
    _save(folder, Siglip2Model, Siglip2Config(text_config=text, vision_config=vision))
    save_tokenizer(folder, inputs=["input_ids"], start=False, length=64)
    Siglip2ImageProcessor(patch_size=8, max_num_patches=16).save_pretrained(folder)
    return folder


def save_dinov2(folder: Path) -> Path:
    """DINOv2: vision alone; its pooler_output is the class token after the last norm."""
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    _save(folder, Dinov2Model, Dinov2Config(**TOWER, image_size=SIDE, patch_size=8))
    _save_crops(BitImageProcessor, folder)
    return folder


def save_dinov3(folder: Path) -> Path:
    """DINOv3: as DINOv2, with four register tokens."""
    from transformers import DINOv3ViTConfig, DINOv3ViTImageProcessor, DINOv3ViTModel

    _save(folder, DINOv3ViTModel, DINOv3ViTConfig(**VISION, num_register_tokens=4))
    DINOv3ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def save_vit(folder: Path, pooler: bool) -> Path:
    """ViT, with its pooler or (as classifiers are) without."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    _save(folder, ViTModel, ViTConfig(**VISION), add_pooling_layer=pooler)
    ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def save_bert(folder: Path) -> Path:
    """BERT: text alone, both directions, masked padding."""
    from transformers import BertConfig, BertModel

    _save(folder, BertModel, BertConfig(**TOWER, vocab_size=40, max_position_embeddings=32), add_pooling_layer=False)
    save_tokenizer(folder, length=32)
    return folder


def save_gpt2(folder: Path) -> Path:
    """GPT-2: text alone, causal, a tokenizer without a padding token."""
    from transformers import GPT2Config, GPT2Model

    _save(folder, GPT2Model, GPT2Config(vocab_size=40, n_positions=32, n_embd=32, n_layer=2, n_head=2))
    save_tokenizer(folder, start=False, pad=None, length=32)
    return folder


def save_tokenizer(
    folder: Path,
    lower: bool = False,
    inputs: list[str] | None = None,
    start: bool = True,
    pad: str | None = "<end>",
    length: int = 32,
) -> None:
    """A tokenizer of whole words with an end token."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<start>", "<end>", "<unk>", *WORDS, "Red", "CUBE"])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if lower:
        core.normalizer = normalizers.Lowercase()
    single = "<start> $A <end>" if start else "$A <end>"
    core.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<start>", 0), ("<end>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<start>",
        eos_token="<end>",
        unk_token="<unk>",
        pad_token=pad,
        model_max_length=length,
        model_input_names=inputs or ["input_ids", "attention_mask"],
    )
    tokenizer.save_pretrained(folder)


def _save(folder: Path, kind: Any, config: Any, **options: Any) -> None:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = kind(config, **options)
        with torch.no_grad():
            for tensor in model.parameters():
                tensor.add_(torch.randn(tensor.shape) * 0.2)  # biases too, so that nothing is neutral by chance
    model.train().save_pretrained(folder)


def _save_crops(kind: Any, folder: Path) -> None:
    kind(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
