"""Makes the golden files beside it with the reference libraries; see README.md.

    python make.py VOCABULARIES TIKTOKEN_CACHE
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import struct
import sys

HERE = pathlib.Path(__file__).parent
VOCABULARIES = pathlib.Path(sys.argv[1])
os.environ["TIKTOKEN_CACHE_DIR"] = sys.argv[2]

import jinja2
import tiktoken
import tokenizers
import transformers
from transformers.utils import chat_template_utils


class FixedTime(datetime.datetime):
    """What templates are told that ask for the time."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, 13, 5, 9)


chat_template_utils.datetime = FixedTime


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
        ((text,), _) = chat_template_utils.render_jinja_template(
            [chat["messages"]], tools=chat.get("tools"), chat_template=template,
            add_generation_prompt=True, **special, **chat.get("variables", {}),
        )
    except jinja2.TemplateError:
        return None, "refused"
    except TypeError:
        # Python's own failure, over a null where a list is expected.
        return None, "failed"
    return text, [len(text), digest(text.encode())]


def renderings(chats):
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    made = {}
    for file in sorted(VOCABULARIES.glob("templates/*.jinja"), key=lambda file: file.stem):
        template = file.read_text()
        made[file.stem] = {name: rendered(template, chat, special)[1] for name, chat in chats.items()}
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
            text, result = rendered(template, chat, special)
            if text is not None:
                result = counted(reference.encode(text, add_special_tokens=False).ids)
            made[folder.name][name] = result
    return made


def compact(made):
    """JSON with a line for each pair of a count and a digest."""
    return re.sub(r"\[\s+(\d+),\s+(\"\w+\")\s+\]", r"[\1, \2]", json.dumps(made, indent=1))


def write(name, made):
    (HERE / name).write_text(compact(made) + "\n")


write("counts.json", counts(json.loads((HERE / "lines.json").read_text())))
# The parts of a chat are JSON as it goes over the wire, so they are kept as text.
chats = json.loads((HERE / "chats.json").read_text())
chats = {name: {part: json.loads(text) for part, text in chat.items()} for name, chat in chats.items()}
write("renderings.json", {"by": f"transformers {transformers.__version__}", "templates": renderings(chats)})
write("chat_counts.json", chat_counts(chats))
