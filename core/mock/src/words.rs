//! What the mock says: common English words, each with its leading blank one token of the usual vocabularies.

/// One token each; consecutive output tokens cycle through them.
pub(crate) const WORDS: [&str; 64] = [
    " time",
    " year",
    " people",
    " way",
    " day",
    " man",
    " thing",
    " woman",
    " life",
    " child",
    " world",
    " school",
    " state",
    " family",
    " student",
    " group",
    " country",
    " problem",
    " hand",
    " part",
    " place",
    " case",
    " week",
    " company",
    " system",
    " program",
    " question",
    " work",
    " government",
    " number",
    " night",
    " point",
    " home",
    " water",
    " room",
    " mother",
    " area",
    " money",
    " story",
    " fact",
    " month",
    " lot",
    " right",
    " study",
    " book",
    " eye",
    " job",
    " word",
    " business",
    " issue",
    " side",
    " kind",
    " head",
    " house",
    " service",
    " friend",
    " father",
    " power",
    " hour",
    " game",
    " line",
    " end",
    " member",
    " law",
];

/// Appends `count` tokens, beginning with the `first` of the answer. They need no escaping in JSON.
pub(crate) fn push(out: &mut Vec<u8>, first: usize, count: usize) {
    for word in WORDS.iter().cycle().skip(first % WORDS.len()).take(count) {
        out.extend_from_slice(word.as_bytes());
    }
}

/// `count` tokens of any answer, beginning with the `first`.
pub(crate) fn slice(first: usize, count: usize) -> String {
    WORDS.iter().cycle().skip(first % WORDS.len()).take(count).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferometer_tokens::Tokenizer;

    #[test]
    fn an_answer_has_exactly_its_number_of_tokens_in_common_vocabularies() {
        for tokens in [1, 2, 63, 64, 65, 1_000] {
            let mut text = Vec::new();
            push(&mut text, 0, tokens);
            let text = String::from_utf8(text).unwrap();
            for vocabulary in [Tokenizer::o200k_base(), Tokenizer::cl100k_base()] {
                assert_eq!(vocabulary.count(&text).unwrap(), tokens, "{}", vocabulary.name());
            }
        }
    }

    #[test]
    fn pieces_of_an_answer_join_to_the_whole() {
        let (mut whole, mut joined) = (Vec::new(), Vec::new());
        push(&mut whole, 0, 200);
        for first in (0..200).step_by(8) {
            push(&mut joined, first, 8);
        }
        assert_eq!(whole, joined);
        assert_eq!(slice(0, 200).into_bytes(), whole);
        assert_eq!(slice(63, 2), slice(0, 200)[slice(0, 63).len()..slice(0, 65).len()]);
    }
}
