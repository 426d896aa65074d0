//! Laws that hold for tokenizers of every kind: texts have exactly the length asked for, and the
//! same seed gives the same text.

use std::collections::HashSet;
use std::path::Path;
use std::sync::LazyLock;

use inferometer_tokens::{TextError, TextGenerator, Tokenizer, TokenizerError};
use proptest::prelude::*;

static KINDS: LazyLock<Vec<(Tokenizer, TextGenerator)>> = LazyLock::new(|| {
    let mut tokenizers = vec![Tokenizer::o200k_base(), Tokenizer::cl100k_base()];
    tokenizers.extend(["byte-level-bpe", "unigram-metaspace", "wordpiece"].map(fixture));
    tokenizers
        .into_iter()
        .map(|tokenizer| {
            let generator = TextGenerator::new(&tokenizer).expect("the words of the corpus can be counted");
            (tokenizer, generator)
        })
        .collect()
});

fn fixture(name: &str) -> Tokenizer {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name).with_extension("json");
    Tokenizer::from_path(&file).expect("the fixture is a tokenizer")
}

proptest! {
    #[test]
    fn a_text_has_exactly_the_tokens_asked_for(seed: u64, tokens in 1..3000_usize) {
        for (tokenizer, generator) in KINDS.iter() {
            let text = generator.text(seed, tokens).unwrap();
            prop_assert_eq!(tokenizer.count(&text).unwrap(), tokens, "{}", tokenizer.name());
            prop_assert!(!text.starts_with(' ') && !text.ends_with(' '));
        }
    }

    #[test]
    fn blocks_that_are_appended_keep_their_tokens_and_their_counts(
        seeds in prop::collection::vec(any::<u64>(), 1..12),
        length in prop_oneof![Just(1_usize), Just(16), Just(512), 1..600_usize],
        last in 0..600_usize,
    ) {
        for (tokenizer, generator) in KINDS.iter() {
            prop_assert!(generator.adds_up());
            let mut text = generator.text(seeds[0], length).unwrap();
            let mut tokens = tokenizer.encode(&text).unwrap();
            let lengths = seeds[1..].iter().map(|seed| (*seed, length)).chain([(seeds[0], last)]);
            for (seed, length) in lengths {
                let block = generator.continuation(seed, length).unwrap();
                prop_assert!(block.is_empty() || (block.starts_with(' ') && !block.ends_with(' ')));
                text.push_str(&block);
                let longer = tokenizer.encode(&text).unwrap();
                prop_assert_eq!(longer.len(), tokens.len() + length, "{}", tokenizer.name());
                prop_assert!(longer.starts_with(&tokens), "{}", tokenizer.name());
                tokens = longer;
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_text_and_another_seed_another(seed: u64, tokens in 20..500_usize) {
        for (tokenizer, generator) in KINDS.iter() {
            let text = generator.text(seed, tokens).unwrap();
            let again = TextGenerator::new(tokenizer).unwrap().text(seed, tokens).unwrap();
            prop_assert_eq!(&text, &again);
            prop_assert_ne!(&text, &generator.text(seed.wrapping_add(1), tokens).unwrap());
            let block = generator.continuation(seed, tokens).unwrap();
            prop_assert_eq!(&block, &generator.continuation(seed, tokens).unwrap());
            prop_assert_ne!(&block, &generator.continuation(seed.wrapping_add(1), tokens).unwrap());
        }
    }

    #[test]
    fn decoding_gives_back_what_was_encoded(text in "[ -~\n]{0,200}", any in "\\PC{0,40}") {
        let lossless = ["o200k_base", "cl100k_base"];
        for (tokenizer, _) in KINDS.iter() {
            let bytes_kept = lossless.contains(&tokenizer.name()) || tokenizer.name().contains("byte-level");
            for text in [&text, &any] {
                let tokens = tokenizer.encode(text).unwrap();
                prop_assert_eq!(tokens.len(), tokenizer.count(text).unwrap());
                prop_assert!(tokens.iter().all(|&token| (token as usize) < tokenizer.vocabulary_size()));
                if bytes_kept {
                    prop_assert_eq!(&tokenizer.decode(&tokens).unwrap(), text);
                }
            }
        }
    }

    #[test]
    fn where_words_do_not_add_up_a_text_is_exact_or_refused(seed: u64, tokens in 1..400_usize) {
        static HARD: LazyLock<(Tokenizer, TextGenerator)> = LazyLock::new(|| {
            let tokenizer = fixture("merges-across-blanks");
            let generator = TextGenerator::new(&tokenizer).unwrap();
            (tokenizer, generator)
        });
        let (tokenizer, generator) = &*HARD;
        match generator.text(seed, tokens) {
            Ok(text) => prop_assert_eq!(tokenizer.count(&text).unwrap(), tokens),
            Err(error) => prop_assert!(matches!(error, TextError::NoExactText { .. }), "{}", error),
        }
    }
}

#[test]
fn texts_are_found_nearly_always_where_words_do_not_add_up() {
    let tokenizer = fixture("merges-across-blanks");
    let generator = TextGenerator::new(&tokenizer).unwrap();
    let found = (1..=200).filter(|&tokens| generator.text(7, tokens).is_ok()).count();
    assert!(found >= 195, "{found} of 200");
}

#[test]
fn continuations_come_near_where_words_do_not_add_up() {
    let tokenizer = fixture("merges-across-blanks");
    let generator = TextGenerator::new(&tokenizer).unwrap();
    assert!(!generator.adds_up());
    let before = generator.text(3, 40).unwrap();
    for tokens in [16, 64, 512] {
        let text = format!("{before}{}", generator.continuation(7, tokens).unwrap());
        let added = tokenizer.count(&text).unwrap() - 40;
        assert!(added.abs_diff(tokens) <= 2, "{added} instead of {tokens}");
    }
}

#[test]
fn ten_thousand_texts_share_no_block_of_a_prefix_cache() {
    for (tokenizer, generator) in &KINDS[..3] {
        let mut seen = HashSet::new();
        for seed in 0..10_000 {
            let text = generator.text(seed, 64).unwrap();
            let mut tokens = tokenizer.encode(&text).unwrap();
            tokens.truncate(16);
            assert!(seen.insert(tokens), "{} seed {seed}", tokenizer.name());
            let block = generator.continuation(seed, 16).unwrap();
            assert!(seen.insert(tokenizer.encode(&block).unwrap()), "{} block {seed}", tokenizer.name());
        }
    }
}

#[test]
fn texts_are_the_same_in_every_version() {
    let (_, generator) = &KINDS[0];
    assert_eq!(generator.text(1, 12).unwrap(), "stones thy power If Time frame; place With thou to ere");
    assert_eq!(generator.continuation(1, 12).unwrap(), " stones thy power If Time frame; place With thou to ere");
}

#[test]
fn the_empty_text_has_no_tokens() {
    for (tokenizer, generator) in KINDS.iter() {
        assert_eq!(generator.text(1, 0).unwrap(), "");
        assert_eq!(generator.continuation(1, 0).unwrap(), "");
        assert_eq!(tokenizer.count("").unwrap(), 0);
    }
}

#[test]
fn special_tokens_are_not_added_and_one_that_is_spelled_out_is_one_token() {
    let tokenizer = fixture("byte-level-bpe");
    assert_eq!(tokenizer.count("<|im_end|>").unwrap(), 1);
    let tokens = tokenizer.encode("license<|im_end|>").unwrap();
    assert_eq!(tokenizer.decode(&tokens).unwrap(), "license<|im_end|>");
    assert_eq!(tokenizer.vocabulary_size(), 4096);
}

#[test]
fn a_file_that_asks_for_truncation_does_not_cut_the_count() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenizer.json");
    let source = include_str!("data/byte-level-bpe.json").replace(
        r#""truncation":null"#,
        r#""truncation":{"direction":"Right","max_length":8,"strategy":"LongestFirst","stride":0}"#,
    );
    assert!(source.contains("max_length"));
    std::fs::write(&file, source).unwrap();
    let text = "the terms of this license ".repeat(20);
    let whole = fixture("byte-level-bpe").count(&text).unwrap();
    assert!(whole > 8);
    assert_eq!(Tokenizer::from_path(&file).unwrap().count(&text).unwrap(), whole);
}

#[test]
fn a_tokenizer_that_knows_no_words_is_refused_and_does_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenizer.json");
    std::fs::write(&file, r#"{"version":"1.0","added_tokens":[],"model":{"type":"BPE","vocab":{"~":0},"merges":[]}}"#)
        .unwrap();
    let tokenizer = Tokenizer::from_path(&file).unwrap();
    let error = TextGenerator::new(&tokenizer).unwrap().text(1, 5).unwrap_err();
    assert!(error.to_string().contains("exactly 5 tokens"), "{error}");
}

#[test]
fn a_tokenizer_without_a_token_for_unknown_words_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenizer.json");
    std::fs::write(
        &file,
        r#"{"version":"1.0","added_tokens":[],"pre_tokenizer":{"type":"WhitespaceSplit"},"model":{"type":"WordLevel","vocab":{"a":0},"unk_token":"[UNK]"}}"#,
    )
    .unwrap();
    let tokenizer = Tokenizer::from_path(&file).unwrap();
    assert!(matches!(tokenizer.count("some words"), Err(TokenizerError::Refused { .. })));
}
