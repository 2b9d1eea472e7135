"""Tags of style `text`: the paper's, of tokens that exist already. Trained, saved, and used without our code."""

import base64
import importlib.metadata
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest
import regex
import torch
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from byte_tokenizer import CHATML, PIECES, byte_tokenizer
from forkpipe import SSFTConfig, SSFTTrainer, add_tags
from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.models.checkpoint import load_checkpoint, load_tags, render_prompt
from forkpipe.models.tagging import add_tag_tokens
from forkpipe.parameters import ModelSettings, SupervisedSettings, TagSettings
from forkpipe.preflight import CHECKS


@pytest.fixture(scope="module")
def trained(trace_sets, tmp_path_factory):
    """A model of Qwen2's kind after some steps of SSFT with text tags, and its tags."""
    folder = tmp_path_factory.mktemp("text")
    sets = trace_sets(8)
    torch.set_num_threads(1)
    tokenizer = byte_tokenizer([trace.text for one in sets for trace in one.traces])
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
        )
    )  # fmt: skip
    size = model.get_input_embeddings().num_embeddings
    tags = add_tags(model, tokenizer, n=6, style="text")
    assert model.get_input_embeddings().num_embeddings == size
    trainer = SSFTTrainer(
        model,
        SSFTConfig(
            output_dir=str(folder / "run"), max_steps=60, per_device_train_batch_size=4, learning_rate=1e-2, seed=0,
            save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
            tag_weight=1.0, logging_steps=10, prefix_length=8, rematch_every=4,
        ),
        processing_class=tokenizer,
        tags=tags,
        train_dataset=[{"problem": one.problem, "traces": [trace.text for trace in one.traces]} for one in sets],
    )  # fmt: skip
    trainer.train()
    trainer.save_model(str(folder / "final"))
    return folder / "final", tags, trainer


def test_the_tag_is_several_tokens_of_which_the_digit_decides(trained):
    _, tags, _ = trained
    assert tags.length > 3
    assert len(tags.deciding_positions) == 1


def test_training_learns_to_write_tags_by_itself(trained):
    """The tag loss falls, towards that of a free choice among six; what the model writes first is a whole tag."""
    folder, tags, trainer = trained
    history = [logs for logs in trainer.state.log_history if "tag_loss" in logs]
    assert history[-1]["tag_loss"] < history[0]["tag_loss"] / 2
    model, tokenizer, _ = load_checkpoint(folder)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "3 ^ 5 mod 17"}], add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    written = model.generate(prompt, max_new_tokens=tags.length, do_sample=False)[0, prompt.shape[1] :].tolist()
    assert tags.index_of(written) is not None


PLAIN_USE = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
messages = [{"role": "user", "content": "3 ^ 5 mod 17"}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, tag="<|im_start|><think2>\\n", return_tensors="pt", return_dict=True
)
output = model.generate(**inputs, max_new_tokens=8, do_sample=False)
assert not any(name.startswith("forkpipe") for name in sys.modules)
print(tokenizer.decode(output[0]))
"""


def test_plain_transformers_uses_the_checkpoint_with_a_tag_of_choice(trained):
    folder, _, _ = trained
    done = subprocess.run(
        [sys.executable, "-c", PLAIN_USE, str(folder)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "<|im_start|>assistant\n<|im_start|><think2>\n" in done.stdout


def test_the_checkpoint_is_refused_with_another_tokenizer(trained, trace_sets):
    folder, _, _ = trained
    other = byte_tokenizer(["<think1> <think2> <think3>"] * 50)
    with pytest.raises(InputError, match="the tokenizer encodes tag"):
        load_tags(folder, other)


def qwen_encode():
    """Return text -> ids by Qwen's real merges, read from the file that dashscope's wheel ships."""
    try:
        package = importlib.metadata.distribution("dashscope")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("dashscope is not installed: pip install --no-deps dashscope (make install does)")
    lines = package.locate_file("dashscope/resources/qwen.tiktoken").read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}

    def merge(piece):
        parts = [bytes([byte]) for byte in piece]
        while len(parts) > 1:
            known = [(ranks.get(a + b), i) for i, (a, b) in enumerate(pairwise(parts))]
            found = min((one for one in known if one[0] is not None), default=None)
            if found is None:
                break
            i = found[1]
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        return [ranks[part] for part in parts]

    def encode(text):
        ids = []
        for part in regex.split(r"(<\|im_start\|>)", text):
            if part == "<|im_start|>":
                ids.append(len(ranks) + 1)  # added tokens follow the merges, <|endoftext|> first
            else:
                ids += [token for piece in regex.findall(PIECES, part) for token in merge(piece.encode())]
        return ids

    return encode


def test_the_papers_tags_in_qwens_real_merges():
    """Five tokens a tag, `<|im_start|>`, `<th`, `ink`, the digit, `>` and newline; only the digit differs."""
    tags = ForkingTags.encoded("text", 6, qwen_encode())
    assert tags.token_ids == tuple((151644, 13708, 766, 16 + i, 397) for i in range(6))
    assert tags.deciding_positions == (3,)


def test_more_than_nine_tags_of_style_text_are_refused_for_qwen():
    """`<think10>` is a token longer than `<think1>`: tags of unequal length cannot take one another's place."""
    with pytest.raises(InputError, match="one length"):
        ForkingTags.encoded("text", 10, qwen_encode())


def test_text_tags_that_begin_with_an_ordinary_token_are_refused(trace_sets):
    """Without `<|im_start|>` in the vocabulary the ban on tags within a trace would ban an ordinary sign."""
    tokenizer = byte_tokenizer([trace.text for one in trace_sets(4) for trace in one.traces], start="<|start|>")
    with pytest.raises(InputError, match=r"begins .* with an ordinary token"):
        add_tags(None, tokenizer, n=4, style="text")


OPENS_THINKING = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}\n")
SEVERAL = {"tool_use": "{{ tools }}", "default": CHATML}


@pytest.mark.parametrize("template", [OPENS_THINKING, SEVERAL, {"default": OPENS_THINKING}])
def test_a_tag_stands_in_place_of_an_opening_mark_in_any_template(template, tmp_path):
    """Templates of reasoning models end the generation prompt in <think>; a tokenizer may have several templates."""
    tokenizer = byte_tokenizer(["2 + 2 is 4"])
    tokenizer.chat_template = template
    for _ in range(2):  # a second call changes nothing
        add_tag_tokens(tokenizer, 4, "text")
    tokenizer.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    asked = "<|im_start|>user\n2 + 2<|im_end|>\n"
    assert render_prompt(tokenizer, "2 + 2") == f"{asked}<|im_start|>assistant\n"
    assert render_prompt(tokenizer, "2 + 2", "<TAG>") == f"{asked}<|im_start|>assistant\n<TAG>"
    whole = [{"role": "user", "content": "2 + 2"}, {"role": "assistant", "content": "<think>\n"}]
    assert tokenizer.apply_chat_template(whole, tokenize=False).startswith(f"{asked}<|im_start|>assistant\n<think>\n")
    if template is SEVERAL:
        assert tokenizer.chat_template["tool_use"] == SEVERAL["tool_use"]


def test_a_student_without_a_chat_template_is_refused_before_the_run(tmp_path):
    tokenizer = byte_tokenizer(["2 + 2 is 4"])
    check = CHECKS["make_base_checkpoint"]
    student = SimpleNamespace(
        model=ModelSettings(source=str(tmp_path)), tags=TagSettings(), supervised=SupervisedSettings()
    )
    Qwen2Config(vocab_size=len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    check(student)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="has no chat template, expected one: put it into its tokenizer"):
        check(student)


def test_templates_without_a_default_are_named():
    tokenizer = byte_tokenizer(["2 + 2 is 4"])
    tokenizer.chat_template = {"tool_use": CHATML, "rag": CHATML}
    with pytest.raises(InputError, match="has chat templates tool_use, rag and none named default"):
        add_tag_tokens(tokenizer, 4, "text")
