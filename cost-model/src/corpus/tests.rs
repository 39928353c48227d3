use super::*;
use proptest::prelude::*;

fn ids(unit: Unit, chunks: &[&[u8]]) -> Vec<u64> {
    let mut ids = Vec::new();
    let mut tokens = Tokenizer::new(unit);
    for chunk in chunks {
        tokens.feed(chunk, &mut |id| ids.push(id));
    }
    tokens.finish(&mut |id| ids.push(id));
    ids
}

#[test]
fn words_and_punctuation_are_tokens() {
    let split = |text: &str| ids(Unit::Word, &[text.as_bytes()]);
    let each: Vec<u64> =
        ["don't", "stop", ",", "2", "$", "'", "end", "'"].into_iter().flat_map(split).collect();
    assert_eq!(each.len(), 8);
    assert_eq!(split("don’t stop,2$ 'end'"), each);
    assert_ne!(split("Stop"), split("stop"));
}

#[test]
fn characters_and_bytes() {
    assert_eq!(ids(Unit::Char, &["aé漢".as_bytes()]), [0x61, 0xe9, 0x6f22]);
    assert_eq!(ids(Unit::Byte, &["é".as_bytes()]), [0xc3, 0xa9]);
    assert_eq!(ids(Unit::Char, &[b"a\xffb"]), [0x61, 0xfffd, 0x62]);
    assert_eq!(ids(Unit::Char, &[b"a\xe6\xbc"]), [0x61, 0xfffd], "a text that breaks off");
}

proptest! {
    #[test]
    fn chunks_do_not_matter(text in "[a-c'’é漢 ,]{0,40}", cut in 0usize..200,
                            again in 0usize..200) {
        let bytes = text.as_bytes();
        let (cut, again) = (cut.min(bytes.len()), again.min(bytes.len()));
        let (first, second) = (cut.min(again), cut.max(again));
        let chunks = [&bytes[..first], &bytes[first..second], &bytes[second..]];
        for unit in [Unit::Word, Unit::Byte, Unit::Char] {
            prop_assert_eq!(ids(unit, &chunks), ids(unit, &[bytes]));
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..60),
                          cut in 0usize..60) {
        let cut = cut.min(bytes.len());
        for unit in [Unit::Word, Unit::Byte, Unit::Char] {
            prop_assert_eq!(ids(unit, &[&bytes[..cut], &bytes[cut..]]), ids(unit, &[&bytes]));
        }
    }

    #[test]
    fn samples_are_nested_and_end_with_the_text(types in 1u64..500, tokens in 1u64..20_000) {
        let mut counts = Accumulator::default();
        let mut all = std::collections::BTreeSet::new();
        for i in 0..tokens {
            let id = mix(i) % types;
            all.insert(id);
            counts.add(id);
        }
        let points = counts.points();
        let whole = Point { tokens, types: all.len() as u64 };
        prop_assert_eq!(points.last().copied(), Some(whole));
        let grows = |p: &[Point]| p[0].tokens < p[1].tokens && p[0].types <= p[1].types;
        prop_assert!(points.windows(2).all(grows));
        prop_assert!(points.iter().all(|p| p.types <= p.tokens));
    }
}

/// Half of the blocks have level 0, a quarter level 1, …
#[test]
fn levels_halve() {
    let blocks = 1 << 16;
    for j in 0..6u32 {
        let at_least = (0..blocks).filter(|b| u32::from(level(*b)) >= j).count() as f64;
        let expected = blocks as f64 / f64::from(1u32 << j);
        assert!((at_least / expected - 1.0).abs() < 0.1, "level {j}: {at_least} of {expected}");
    }
}

/// Exact points of 7·N^0.64 give 7 and 0.64 back.
#[test]
fn a_power_law_is_found_again() {
    let points: Vec<Point> = (10..24)
        .map(|e| 1u64 << e)
        .map(|tokens| Point { tokens, types: (7.0 * (tokens as f64).powf(0.64)).round() as u64 })
        .collect();
    let law = Law::fit(&points).unwrap();
    assert!((law.prefactor / 7.0 - 1.0).abs() < 0.01, "{law:?}");
    assert!((law.exponent - 0.64).abs() < 0.001, "{law:?}");
    assert!(law.residual < 0.002, "{law:?}");
    assert_eq!(law.unique(1e12, 100_000), 100_000.0);
    assert_eq!(law.unique(1.0, 100_000), 1.0);
}

/// Tokens of rank r with frequency ∝ r^(−s) have U(N) ∝ N^(1/s). A rank of ⌊v^(−1/(s − 1))⌋ for
/// uniform v has P(rank ≥ r) = r^(−(s − 1)), so its frequency is ∝ r^(−s); s = 1/0.64.
#[test]
fn zipf_text_has_the_exponent_of_zipf() {
    let s = 1.0 / 0.64;
    let mut counts = Accumulator::default();
    for i in 0..2_000_000u64 {
        let uniform = (mix(i) >> 11) as f64 / (1u64 << 53) as f64;
        counts.add((1.0 - uniform).powf(-1.0 / (s - 1.0)) as u64);
    }
    let law = counts.fit().unwrap();
    assert!((law.exponent - 0.64).abs() < 0.02, "{law:?}");
    assert!(law.residual < 0.05, "{law:?}");
}

#[test]
fn bytes_saturate() {
    let mut counts = Accumulator::default();
    (0..500_000).for_each(|i| counts.add(mix(i) % 256));
    assert_eq!(counts.types(), 256);
    assert_eq!(counts.fit(), Err(FitError::Saturated { vocabulary: 256 }));
}

#[test]
fn short_texts_are_refused_with_what_they_lack() {
    let mut counts = Accumulator::default();
    (0..300).for_each(|i| counts.add(i));
    let error = counts.fit().unwrap_err();
    assert!(error.to_string().contains("this text of 300 tokens gives 0"), "{error}");
}

/// Real text: the words of this crate's own sources. Source code is not prose, but its types grow
/// sublinearly too.
#[test]
fn real_text_grows_sublinearly() {
    let text = [
        include_str!("../gemm.rs"),
        include_str!("../collective.rs"),
        include_str!("../attention.rs"),
        include_str!("../exchange.rs"),
        include_str!("../stack.rs"),
        include_str!("../profile.rs"),
        include_str!("../stack/parse/sections.rs"),
        include_str!("../corpus.rs"),
    ];
    let mut counts = Accumulator::default();
    let mut tokens = Tokenizer::new(Unit::Word);
    for part in text {
        tokens.feed(part.as_bytes(), &mut |id| counts.add(id));
    }
    tokens.finish(&mut |id| counts.add(id));
    let law = counts.fit().unwrap();
    assert!((0.3..0.9).contains(&law.exponent), "{law:?}");
    assert!(counts.tokens() > 10 * counts.types());
}
