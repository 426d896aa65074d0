"""Makes the golden files beside it with the reference libraries; see README.md.

    python make.py VOCABULARIES TIKTOKEN_CACHE
"""

import hashlib
import json
import os
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).parent
VOCABULARIES = pathlib.Path(sys.argv[1])
os.environ["TIKTOKEN_CACHE_DIR"] = sys.argv[2]

import jinja2
import tiktoken
import tokenizers
import transformers
from transformers.utils.chat_template_utils import render_jinja_template


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def counted(ids):
    return [len(ids), digest(struct.pack(f"<{len(ids)}I", *ids))]


def counts(lines):
    made = {}
    for name in ["o200k_base", "cl100k_base"]:
        encode = tiktoken.get_encoding(name).encode_ordinary
        made[name] = {"by": f"tiktoken {tiktoken.__version__}", "lines": [counted(encode(line)) for line in lines]}
    small = HERE.parent / "data"
    files = {file.parent.name: file for file in sorted(VOCABULARIES.glob("*/tokenizer.json"))}
    files |= {name: small / f"{name}.json" for name in ["byte-level-bpe", "unigram-metaspace", "wordpiece"]}
    for name, file in files.items():
        reference = tokenizers.Tokenizer.from_file(str(file))
        made[name] = {
            "by": f"tokenizers {tokenizers.__version__}",
            "sha256": digest(file.read_bytes()),
            "lines": [counted(reference.encode(line, add_special_tokens=False).ids) for line in lines],
        }
    return made


def rendered(template, chat, special):
    try:
        ((text,), _) = render_jinja_template(
            [chat["messages"]], tools=chat.get("tools"), chat_template=template,
            add_generation_prompt=True, **special, **chat.get("variables", {}),
        )
    except (jinja2.TemplateError, TypeError) as error:
        return None, f"{type(error).__name__}: {error}"
    return text, [len(text), digest(text.encode())]


def renderings(chats):
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    made = {}
    for file in sorted(VOCABULARIES.glob("templates/*.jinja"), key=lambda file: file.stem):
        template = file.read_text()
        results = {name: rendered(template, chat, special)[1] for name, chat in chats.items()}
        made[file.stem] = {name: result if isinstance(result, list) else "refused" for name, result in results.items()}
    return made


def chat_counts(chats):
    made = {}
    for folder in sorted(VOCABULARIES.glob("*/tokenizer.json")):
        folder = folder.parent
        config = json.loads((folder / "tokenizer_config.json").read_text())
        spelled = lambda token: token["content"] if isinstance(token, dict) else token
        special = {key: spelled(config[key]) for key in ["bos_token", "eos_token"] if config.get(key)}
        reference = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        template = (folder / "chat_template.jinja").read_text()
        made[folder.name] = {}
        for name, chat in chats.items():
            text, _ = rendered(template, chat, special)
            made[folder.name][name] = (
                "refused" if text is None else counted(reference.encode(text, add_special_tokens=False).ids)
            )
    return made


def write(name, made):
    (HERE / name).write_text(json.dumps(made, indent=1) + "\n")


write("counts.json", counts(json.loads((HERE / "lines.json").read_text())))
chats = json.loads((HERE / "chats.json").read_text())
write("renderings.json", {"by": f"transformers {transformers.__version__}", "templates": renderings(chats)})
write("chat_counts.json", chat_counts(chats))
