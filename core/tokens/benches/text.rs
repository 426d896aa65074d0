//! What it costs to make texts of exact lengths and to count: `cargo bench -p inferometer-tokens`.

use std::cell::Cell;
use std::path::Path;
use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use inferometer_tokens::{TextGenerator, Tokenizer};

fn main() {
    divan::main();
}

const MIXED: &str = "日本語 naïve — слово. 12345 let x = f(y)?;\n\tعالم 👩‍👩‍👧 हिन्दी ";

static GENERATOR: LazyLock<TextGenerator> =
    LazyLock::new(|| TextGenerator::new(&Tokenizer::o200k_base()).expect("the corpus can be counted"));

/// Texts a second, each of another seed.
#[divan::bench(args = [550, 8192])]
fn text(bencher: Bencher<'_, '_>, tokens: usize) {
    let seed = Cell::new(0);
    LazyLock::force(&GENERATOR);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        seed.set(seed.get() + 1);
        GENERATOR.text(seed.get(), tokens).expect("such a text can be made")
    });
}

/// Blocks of a prompt a second, as prompts shared by hash ids are put together of.
#[divan::bench(args = [16, 512])]
fn continuation(bencher: Bencher<'_, '_>, tokens: usize) {
    let seed = Cell::new(0);
    LazyLock::force(&GENERATOR);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        seed.set(seed.get() + 1);
        GENERATOR.continuation(seed.get(), tokens).expect("such a text can be made")
    });
}

/// Bytes a second of text that is encoded in full: English and a mixture of scripts by the embedded vocabulary, and
/// English by a `tokenizer.json`.
#[divan::bench(args = ["english", "mixed", "tokenizer.json"])]
fn count(bencher: Bencher<'_, '_>, kind: &str) {
    let english = || GENERATOR.text(1, 8192).expect("such a text can be made");
    let (tokenizer, text) = match kind {
        "english" => (Tokenizer::o200k_base(), english()),
        "mixed" => (Tokenizer::o200k_base(), MIXED.repeat(400)),
        _ => {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/byte-level-bpe.json");
            (Tokenizer::from_path(&file).expect("the fixture is a tokenizer"), english())
        }
    };
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| tokenizer.count(&text));
}
