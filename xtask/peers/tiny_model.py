"""Makes the tiny model that the test servers load: a tokenizer and a Llama of two layers.

Usage: tiny_model.py OUT_DIR TEXT_FILE...

The tokenizer is a byte-level BPE trained on the given texts. The model is a Llama in form and a bigram
in fact: each of the most frequent tokens has a direction of its own in the hidden state, both layers add
nothing to it, and the output layer maps a token's direction to the logarithms of how often each other
token followed it in the texts. So it emits readable text, never half a character, and stops by itself
after some sentences. Nothing is drawn at random: the same texts give the same files.
"""

import collections
import json
import pathlib
import sys

import gguf
import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCABULARY = 4096
HIDDEN = 384  # also the number of tokens that can be emitted
FEED_FORWARD = 256
LAYERS = 2
HEADS = 6
KEY_VALUE_HEADS = 2
HEAD_SIZE = HIDDEN // HEADS
CONTEXT = 8192
EPSILON = 1e-5
ROPE_BASE = 10000.0

PAD, TURN_START, TURN_END = 0, 1, 2
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
STOP_AFTER_SENTENCE = 0.08  # share of full stops that end the answer
SEEN = 16.0  # what a pair that was seen has over one that was not, in natural logarithms

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def read_texts(paths):
    """The texts as plain ASCII with single blanks, one paragraph a line, so that the output is one too."""
    paragraphs = []
    for path in paths:
        text = pathlib.Path(path).read_text(encoding="utf-8", errors="ignore")
        ascii_text = "".join(c if c.isascii() else " " for c in text)
        paragraphs += [" ".join(p.split()) for p in ascii_text.split("\n\n")]
    return [p for p in paragraphs if p]


def train_tokenizer(paragraphs):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(paragraphs, trainer)
    return tokenizer


def bigram_weights(tokenizer, paragraphs):
    """The input and output embeddings: (embedding, head), each of vocabulary x hidden."""
    size = tokenizer.get_vocab_size()
    # A line break before each paragraph: that is what the last token of the chat template is.
    lines = [e.ids for e in tokenizer.encode_batch(["\n" + p for p in paragraphs])]
    frequency = collections.Counter(token for line in lines for token in line)
    by_frequency = sorted(frequency, key=lambda token: (-frequency[token], token))
    spoken = [TURN_END] + by_frequency[: HIDDEN - 1]
    direction = {token: i for i, token in enumerate(spoken)}

    follows = np.zeros((HIDDEN, HIDDEN))
    for line in lines:
        for a, b in zip(line, line[1:]):
            if a in direction and b in direction:
                follows[direction[a], direction[b]] += 1
    line_break = direction[tokenizer.token_to_id("\u010a")]
    follows[:, line_break] = 0
    stop = direction[tokenizer.token_to_id(".")]
    follows[stop, direction[TURN_END]] = STOP_AFTER_SENTENCE * follows[stop].sum()
    # What nothing was seen to follow goes on as a new paragraph would.
    follows[follows.sum(axis=1) == 0] = follows[line_break]

    share = follows / follows.sum(axis=1, keepdims=True)
    logits = np.where(share > 0, SEEN + np.log(np.maximum(share, 1e-9)), 0.0)

    # Tokens that are never emitted still stand in prompts: each borrows a direction.
    embedding = np.zeros((size, HIDDEN), np.float32)
    for token in range(size):
        embedding[token, direction.get(token, token % HIDDEN)] = 1.0
    # The last norm scales a unit direction to the square root of the hidden size; the head takes that back.
    head = np.zeros((size, HIDDEN), np.float32)
    head[spoken] = logits.T / np.sqrt(HIDDEN)
    return embedding, head


def layer_weights():
    """One layer that adds nothing: (name in safetensors, name in GGUF, weights)."""
    keys = KEY_VALUE_HEADS * HEAD_SIZE
    return [
        ("self_attn.q_proj", "attn_q", np.zeros((HIDDEN, HIDDEN), np.float32)),
        ("self_attn.k_proj", "attn_k", np.zeros((keys, HIDDEN), np.float32)),
        ("self_attn.v_proj", "attn_v", np.zeros((keys, HIDDEN), np.float32)),
        ("self_attn.o_proj", "attn_output", np.zeros((HIDDEN, HIDDEN), np.float32)),
        ("mlp.gate_proj", "ffn_gate", np.zeros((FEED_FORWARD, HIDDEN), np.float32)),
        ("mlp.up_proj", "ffn_up", np.zeros((FEED_FORWARD, HIDDEN), np.float32)),
        ("mlp.down_proj", "ffn_down", np.zeros((HIDDEN, FEED_FORWARD), np.float32)),
        ("input_layernorm", "attn_norm", np.ones(HIDDEN, np.float32)),
        ("post_attention_layernorm", "ffn_norm", np.ones(HIDDEN, np.float32)),
    ]


def write_configs(out, size):
    token_ids = {"bos_token_id": PAD, "eos_token_id": TURN_END, "pad_token_id": PAD}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": size,
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_VALUE_HEADS,
        "head_dim": HEAD_SIZE,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": EPSILON,
        "rope_theta": ROPE_BASE,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        **token_ids,
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": SPECIAL[TURN_END],
        "pad_token": SPECIAL[PAD],
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    for name, content in [
        ("config.json", config),
        ("tokenizer_config.json", tokenizer_config),
        ("generation_config.json", {"temperature": 1.0, **token_ids}),
    ]:
        (out / name).write_text(json.dumps(content, indent=2) + "\n")


def write_safetensors(out, embedding, head):
    tensors = {
        "model.embed_tokens.weight": embedding,
        "model.norm.weight": np.ones(HIDDEN, np.float32),
        "lm_head.weight": head,
    }
    for layer in range(LAYERS):
        for name, _, weights in layer_weights():
            tensors[f"model.layers.{layer}.{name}.weight"] = weights
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


def write_gguf(out, tokenizer, embedding, head):
    size = tokenizer.get_vocab_size()
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL

    writer = gguf.GGUFWriter(str(out / "tiny.gguf"), "llama")
    writer.add_name("tiny")
    writer.add_vocab_size(size)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)

    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([tokenizer.id_to_token(i) for i in range(size)])
    writer.add_token_types([control if i < len(SPECIAL) else normal for i in range(size)])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(PAD)
    writer.add_eos_token_id(TURN_END)
    writer.add_pad_token_id(PAD)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)

    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, np.float32))
    writer.add_tensor("output.weight", head)
    for layer in range(LAYERS):
        for _, name, weights in layer_weights():
            writer.add_tensor(f"blk.{layer}.{name}.weight", weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    paragraphs = read_texts(sys.argv[2:])
    tokenizer = train_tokenizer(paragraphs)
    embedding, head = bigram_weights(tokenizer, paragraphs)

    tokenizer.save(str(out / "tokenizer.json"))
    write_configs(out, tokenizer.get_vocab_size())
    write_safetensors(out, embedding, head)
    write_gguf(out, tokenizer, embedding, head)
    print(f"{tokenizer.get_vocab_size()} tokens, {HIDDEN} of them spoken, {LAYERS} layers")


if __name__ == "__main__":
    main()
