//! Counts, ids and renderings against those that the reference libraries give; `golden/README.md` says how the expected
//! ones were made, and where the vocabularies are that the repository does not hold.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use inferometer_tokens::{Chat, ChatTemplate, TemplateError, TextGenerator, Tokenizer};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Set where missing vocabularies are a failure instead of a skipped test: in CI.
const REQUIRED: &str = "INFEROMETER_REQUIRE_PEERS";

fn golden(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = std::fs::read_to_string(file).expect("the golden file is there");
    serde_json::from_str(&text).expect("the golden file is JSON")
}

/// The folder of vocabularies, or nothing, with a word on standard error, where they are not installed.
fn vocabularies() -> Option<PathBuf> {
    // This test's own program lies in TARGET/PROFILE/deps.
    let program = std::env::current_exe().expect("a test knows its program");
    let folder = program.ancestors().nth(3).expect("three folders up").join("peers/vocabularies");
    if folder.join("stamp").is_file() {
        return Some(folder);
    }
    let missing =
        format!("there are no vocabularies in '{}'; see core/tokens/tests/golden/README.md", folder.display());
    assert!(std::env::var_os(REQUIRED).is_none(), "{missing} ({REQUIRED} is set)");
    writeln!(std::io::stderr(), "skipped: {missing}").expect("standard error can be written");
    None
}

/// The entries of a golden file whose vocabularies are in `folder`: two at least, and more where there is npm.
fn those_in<'a>(folder: &Path, golden: &'a Value) -> Vec<(&'a String, &'a Value)> {
    let all = golden.as_object().expect("the golden file is an object").iter();
    let there: Vec<_> = all.filter(|(name, _)| folder.join(name).join("tokenizer.json").is_file()).collect();
    assert!(there.len() >= 2, "{} is not whole", folder.display());
    there
}

fn digest(data: impl AsRef<[u8]>) -> String {
    Sha256::digest(data)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The number of ids and their digest, in the golden files' form.
fn counted(ids: &[u32]) -> Value {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    Value::from(vec![Value::from(ids.len()), Value::from(digest(bytes))])
}

/// The lines that `tokenizer` cuts otherwise than the golden file says.
fn lines_that_differ(tokenizer: &Tokenizer, expected: &Value) -> Vec<String> {
    let lines: Vec<String> = serde_json::from_value(golden("lines.json")).expect("lines are texts");
    let expected = expected["lines"].as_array().expect("one entry for each line");
    assert_eq!(lines.len(), expected.len());
    let mut differ = Vec::new();
    for (line, expected) in lines.iter().zip(expected) {
        let ids = tokenizer.encode(line).expect("the line can be encoded");
        assert_eq!(tokenizer.count(line).expect("the line can be counted"), ids.len());
        if counted(&ids) != *expected {
            differ.push(format!("{}: {line:?} is {ids:?}, not {expected}", tokenizer.name()));
        }
    }
    differ
}

#[test]
fn vocabularies_that_are_here_cut_every_line_as_the_reference_does() {
    let expected = golden("counts.json");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut tokenizers =
        BTreeMap::from([("o200k_base", Tokenizer::o200k_base()), ("cl100k_base", Tokenizer::cl100k_base())]);
    for name in ["byte-level-bpe", "unigram-metaspace", "wordpiece"] {
        tokenizers.insert(name, Tokenizer::from_path(&data.join(name).with_extension("json")).unwrap());
    }
    let differ: Vec<_> =
        tokenizers.iter().flat_map(|(name, tokenizer)| lines_that_differ(tokenizer, &expected[*name])).collect();
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn vocabularies_of_well_known_models_cut_every_line_as_the_reference_does() {
    let Some(folder) = vocabularies() else { return };
    let mut differ = Vec::new();
    for (name, expected) in golden("counts.json").as_object().unwrap() {
        let file = folder.join(name).join("tokenizer.json");
        if file.is_file() {
            assert_eq!(digest(std::fs::read(&file).unwrap()), expected["sha256"], "{name} is another file");
            differ.extend(lines_that_differ(&Tokenizer::from_path(&file).unwrap(), expected));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn texts_of_well_known_vocabularies_are_exact_and_so_are_blocks_that_follow() {
    let Some(folder) = vocabularies() else { return };
    for (name, _) in those_in(&folder, &golden("chat_counts.json")) {
        let tokenizer = Tokenizer::from_path(&folder.join(name)).unwrap();
        let generator = TextGenerator::new(&tokenizer).unwrap();
        assert!(generator.adds_up(), "{name}");
        for seed in 0..50 {
            let mut text = generator.text(seed, 512).unwrap();
            for (block, tokens) in [16, 512, 1, 300].into_iter().enumerate() {
                text.push_str(&generator.continuation(seed + block as u64, tokens).unwrap());
            }
            assert_eq!(tokenizer.count(&text).unwrap(), 1341, "{name}, seed {seed}");
        }
    }
}

/// A chat of the golden file, at the time that the reference was told.
fn with_chat<T>(chat: &Value, use_it: impl FnOnce(&Chat<'_>) -> T) -> T {
    let text = |part: &str| chat.get(part).and_then(Value::as_str);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_721_999_109);
    let chat = Chat {
        tools: text("tools"),
        variables: text("variables"),
        now: Some(now),
        ..Chat::new(text("messages").expect("every chat has messages"))
    };
    use_it(&chat)
}

#[test]
fn templates_of_well_known_models_give_the_reference_text() {
    let Some(folder) = vocabularies() else { return };
    let chats = golden("chats.json");
    let mut differ = Vec::new();
    for (model, expected) in golden("renderings.json")["templates"].as_object().unwrap() {
        let source = folder.join(format!("templates/{model}.jinja"));
        let alone = tempfile::tempdir().unwrap();
        std::fs::copy(source, alone.path().join("chat_template.jinja")).unwrap();
        let config = r#"{"bos_token": "<s>", "eos_token": "</s>"}"#;
        std::fs::write(alone.path().join("tokenizer_config.json"), config).unwrap();
        let template = ChatTemplate::from_folder(alone.path()).unwrap();
        for (name, chat) in chats.as_object().unwrap() {
            let text = with_chat(chat, |chat| template.render(chat));
            let got = match &text {
                Ok(text) => Value::from(vec![Value::from(text.chars().count()), Value::from(digest(text))]),
                Err(TemplateError::Refused { .. }) => Value::from("refused"),
                Err(error) => panic!("{error}"),
            };
            // Where Python itself failed there is nothing to compare.
            if got != expected[name] && expected[name] != "failed" {
                differ.push(format!("{model}, {name}: {text:?}, {got} not {}", expected[name]));
            }
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn chats_are_counted_as_the_reference_counts_them() {
    let Some(folder) = vocabularies() else { return };
    let chats = golden("chats.json");
    for (name, expected) in those_in(&folder, &golden("chat_counts.json")) {
        let tokenizer = Tokenizer::from_path(&folder.join(name)).unwrap();
        for (which, chat) in chats.as_object().unwrap() {
            let got = with_chat(chat, |chat| tokenizer.count_chat(chat));
            match &expected[which] {
                Value::String(result) if result == "failed" => {}
                Value::String(_) => {
                    assert!(matches!(got, Err(TemplateError::Refused { .. })), "{name}, {which}: {got:?}");
                }
                expected => assert_eq!(got.unwrap(), expected[0], "{name}, {which}"),
            }
        }
    }
}
