//! What it costs to make texts of exact lengths and to count: `cargo bench -p inferometer-tokens`.

use std::cell::Cell;
use std::sync::LazyLock;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use inferometer_tokens::{TextGenerator, Tokenizer};

fn main() {
    divan::main();
}

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

/// Bytes a second of text that is encoded in full, in English and in scripts of many bytes a letter.
#[divan::bench(args = ["english", "mixed"])]
fn count(bencher: Bencher<'_, '_>, kind: &str) {
    let tokenizer = Tokenizer::o200k_base();
    let text = match kind {
        "english" => GENERATOR.text(1, 8192).expect("such a text can be made"),
        _ => "日本語 naïve — слово. 12345 let x = f(y)?;\n\tعالم 👩‍👩‍👧 हिन्दी ".repeat(400),
    };
    bencher.counter(BytesCount::of_str(&text)).bench_local(|| tokenizer.count(&text));
}
