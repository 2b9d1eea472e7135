"""Families of models: tags, templates, end tokens, adapters, tied heads; what is not supported is refused by name."""

import json

import pytest
import torch

from forkpipe import SSFTConfig, SSFTTrainer, add_tags
from forkpipe.core.errors import InputError
from forkpipe.models.adapters import lora_config, merged
from forkpipe.models.checkpoint import (
    Checkpoint,
    encoder,
    load_checkpoint,
    render_prompt,
    save_checkpoint,
)
from forkpipe.models.positions import max_positions
from forkpipe.models.support import check_student, ties_embeddings
from forkpipe.models.tagging import check_in_context, reserved_ids
from forkpipe.parameters import LoraSettings, ModelSettings, TagSettings
from model_families import FAMILIES, model_of, tokenizer_of

TEXTS = [f"I think that {a} + {b} is {a + b}, as {b} plus {a} is the same." for a in range(9) for b in range(9)]


@pytest.fixture(params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


@pytest.fixture
def tokenizer(family):
    return tokenizer_of(family, TEXTS)


@pytest.mark.parametrize("spare_rows", [0, 40])
def test_tags_are_added_after_the_prompt_of_the_family(family, tokenizer, spare_rows):
    """Matrices that have room keep their size; the rows of all other tokens, and of tokens that were there, stay."""
    model = model_of(family, tokenizer, spare_rows)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    tags = add_tags(model, tokenizer, n=3, style="special")
    check_in_context("2 + 2", tokenizer, tags)
    prompt = render_prompt(tokenizer, "2 + 2", tags.tags[1])
    assert prompt.startswith(family.opening)
    assert prompt.endswith(family.closing + "<think2>")
    read, written = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert (read is written) == family.tied
    assert len(read) == max(len(tokenizer), len(before["model.embed_tokens.weight"]))
    added = [*tags.added_ids, tokenizer.convert_tokens_to_ids("<think>")]
    kept = [i for i in range(len(tokenizer)) if i not in added or (i == added[-1] and "<think>" in family.ordinary)]
    kept = [i for i in kept if i < len(before["model.embed_tokens.weight"])]
    for name, weight in model.named_parameters():
        if weight is read or weight is written:
            assert torch.equal(weight[kept], before[name][kept])
        else:
            assert torch.equal(weight, before[name])
    for matrix in (read, written):
        rows = matrix[list(tags.added_ids)]
        assert rows.isfinite().all()
        assert torch.pdist(rows).min() > 0.1 * rows.norm(dim=1).mean()


@pytest.mark.parametrize("lora", [False, True])
def test_a_family_is_trained_saved_and_loaded(family, tokenizer, lora, tmp_path):
    model = model_of(family, tokenizer)
    tags = add_tags(model, tokenizer, n=3, style="special")
    before = model.get_input_embeddings().weight[list(tags.added_ids)].detach().clone()
    trainer = SSFTTrainer(
        model,
        SSFTConfig(
            output_dir=str(tmp_path / "run"), max_steps=2, per_device_train_batch_size=2, learning_rate=1e-2, seed=0,
            save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
            tag_weight=1.0,
        ),
        processing_class=tokenizer,
        tags=tags,
        train_dataset=[{"problem": "2 + 3", "traces": TEXTS[i : i + 3]} for i in range(4)],
        peft_config=lora_config(LoraSettings(rank=2)) if lora else None,
    )  # fmt: skip
    trainer.train()
    ids = torch.tensor([encoder(tokenizer)(render_prompt(tokenizer, "2 + 3", tags.tags[2]))])
    with torch.no_grad():
        logits = trainer.model.eval()(input_ids=ids).logits
    trained = merged(trainer.model).eval()
    assert (trained.get_input_embeddings().weight is trained.get_output_embeddings().weight) == family.tied
    assert (trained.get_input_embeddings().weight[list(tags.added_ids)] - before).abs().max() > 1e-4
    save_checkpoint(tmp_path / "model", trained, tokenizer, tags, base="family", revision="1")
    loaded, again, read_tags = load_checkpoint(tmp_path / "model")
    assert read_tags == tags
    assert encoder(again)(render_prompt(again, "2 + 3", tags.tags[2])) == ids[0].tolist()
    with torch.no_grad():
        assert torch.allclose(loaded.eval()(ids).logits, trained(ids).logits, atol=1e-5)
        assert torch.allclose(trained(ids).logits, logits, atol=1e-4)
    ends = {again.convert_tokens_to_ids(token) for token in family.ends}
    checkpoint = Checkpoint(tmp_path / "model")
    assert checkpoint.end_ids == ends
    assert trainer.train_dataset[0]["traces"][0][-1] == again.eos_token_id
    assert reserved_ids(again, tags, checkpoint.end_ids) >= ends | set(tags.added_ids)
    rows = trainer.matchings.log
    assert {row["tag"] for row in rows if row["problem_id"] == rows[0]["problem_id"]} == {0, 1, 2}
    assert all(row["margin_noise"] >= 0 for row in rows)


def saved(family, tokenizer, folder):
    model_of(family, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelSettings(source=str(folder))


def test_a_family_is_accepted_before_a_run(family, tokenizer, tmp_path):
    settings = saved(family, tokenizer, tmp_path)
    check_student(settings, TagSettings(style="special", n=4), max_length=512)
    assert ties_embeddings(settings) == family.tied
    if family.text_tags:
        check_student(settings, TagSettings(style="text", n=4))
    else:
        with pytest.raises(InputError, match=r"begins .* with an ordinary token"):
            check_student(settings, TagSettings(style="text", n=4))
    longest = max_positions(Checkpoint(tmp_path).config)
    with pytest.raises(InputError, match=rf"supervised.max_length is {longest + 1} and the model has {longest} "):
        check_student(settings, TagSettings(style="special"), max_length=longest + 1)


def test_a_template_says_what_it_refuses(family, tokenizer):
    """Gemma's templates know no system role; the others keep the message, alone or merged with the user's."""
    if "gemma" in family.config.model_type:
        with pytest.raises(InputError, match="refuses system and user: There is no system role"):
            render_prompt(tokenizer, "2 + 2", system="Be brief.")
    else:
        prompt = render_prompt(tokenizer, "2 + 2", system="Be brief.")
        assert prompt.index("Be brief.") < prompt.index("2 + 2")
        assert prompt.endswith(family.closing)


REFUSED = {
    "quantized": ({"quantization_config": {"quant_method": "mxfp4"}}, {}, r"weights are quantized \(mxfp4\)"),
    "other type": ({"model_type": "t5"}, {}, "of type 't5', expected a causal language model"),
    "code": ({"model_type": "ours", "auto_map": {"AutoConfig": "x.Y"}}, {}, "which transformers cannot load"),
    "no end": ({}, {"eos_token": None}, "has no end token"),
    "added rows": ({"hidden_size_per_layer_input": 8}, {}, "cannot take added tokens"),
    "no template": ({}, {"chat_template": None}, "no chat template"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_is_refused_by_name(case, tmp_path, monkeypatch):
    changes, of_tokenizer, message = REFUSED[case]
    family = FAMILIES["llama3"]
    tokenizer = tokenizer_of(family, TEXTS)
    for name, value in of_tokenizer.items():
        setattr(tokenizer, name, value)
    settings = saved(family, tokenizer, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(InputError, match=message):
        check_student(settings, TagSettings(style="special"))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="which transformers cannot load"):
        check_student(ModelSettings(source=str(tmp_path)), TagSettings())


def test_a_model_on_a_hub_out_of_reach_is_left_to_its_node(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    check_student(ModelSettings(source="nobody/nothing"), TagSettings())
    assert not ties_embeddings(ModelSettings(source="nobody/nothing"))
