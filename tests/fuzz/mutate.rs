//! Inputs that nobody would write: small changes to inputs that somebody would.

/// A small deterministic generator (splitmix64, Steele, Lea and Flood 2014).
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n` (0 where `n` is 0). The bias of the remainder does not matter here.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> Option<&'a T> {
        from.get(self.below(from.len())).copied()
    }
}

/// Tokens that have broken parsers before.
const TOKENS: [&str; 40] = [
    "",
    "0",
    "-1",
    "1e400",
    "-0.0",
    "1e-400",
    "nan",
    "inf",
    "-inf",
    "NaN",
    "+1",
    "0x10",
    "1_000",
    "00",
    "18446744073709551616",
    "9223372036854775807",
    "4294967296",
    "2147483648",
    "1000000",
    "0.1",
    "GiB",
    "GB/s",
    "Gbit/s",
    "µs",
    "μs",
    "us",
    "$",
    "/h",
    "%",
    "\"",
    "'''",
    "[[",
    "]]",
    "{ ",
    " }",
    " = ",
    "..",
    ":",
    "\u{0}",
    "\u{202e}\u{1f980}é",
];

/// One to four changes to `seed`; pieces may come from `other`.
pub fn mutate(seed: &str, other: &str, random: &mut Random) -> String {
    let mut text = seed.to_string();
    for _ in 0..=random.below(4) {
        text = change(&text, other, random);
    }
    text
}

fn change(text: &str, other: &str, random: &mut Random) -> String {
    match random.below(9) {
        0 => splice(text, random, |_, r| r.pick(&TOKENS).unwrap_or_default().to_string()),
        1 => splice(text, random, |_, _| String::new()),
        2 => splice(text, random, |piece, _| piece.repeat(2)),
        3 => splice(text, random, flip),
        4 => swap_token(text, random),
        5 => on_lines(text, random, |lines, i, _| drop(lines.remove(i))),
        6 => on_lines(text, random, |lines, i, r| {
            let j = r.below(lines.len());
            lines.swap(i, j);
        }),
        7 => on_lines(text, random, |lines, i, r| {
            let others: Vec<&str> = other.lines().collect();
            lines.insert(i, r.pick(&others).unwrap_or_default().to_string());
        }),
        _ => nest(text, random),
    }
}

/// Replaces a random piece of at most sixteen characters.
fn splice(
    text: &str,
    random: &mut Random,
    with: impl FnOnce(&str, &mut Random) -> String,
) -> String {
    let ends: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
    let from = random.below(ends.len());
    let to = (from + random.below(17)).min(ends.len() - 1);
    let (from, to) = (ends[from], ends[to]);
    let piece = with(&text[from..to], random);
    format!("{}{piece}{}", &text[..from], &text[to..])
}

/// Changes one bit of every character's low byte, so that digits and brackets become others.
fn flip(piece: &str, random: &mut Random) -> String {
    let bit = 1u32 << random.below(7);
    piece.chars().map(|c| char::from_u32(c as u32 ^ bit).unwrap_or(c)).collect()
}

/// Replaces a whole word or number.
fn swap_token(text: &str, random: &mut Random) -> String {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let words: Vec<&str> = text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect();
    let (Some(word), Some(token)) = (random.pick(&words), random.pick(&TOKENS)) else {
        return text.to_string();
    };
    // `word` is a slice of `text`, so the difference of the addresses is its position.
    let at = word.as_ptr() as usize - text.as_ptr() as usize;
    format!("{}{token}{}", &text[..at], &text[at + word.len()..])
}

fn on_lines(
    text: &str,
    random: &mut Random,
    change: impl FnOnce(&mut Vec<String>, usize, &mut Random),
) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    if !lines.is_empty() {
        let at = random.below(lines.len());
        change(&mut lines, at, random);
    }
    lines.join("\n")
}

/// Brackets, deep enough to hurt a parser that recurses without a limit.
fn nest(text: &str, random: &mut Random) -> String {
    let depth = 1 + random.below(2000);
    let open = random.pick(&["[", "{\"a\":", "(", "{a="]).unwrap_or_default();
    splice(text, random, |_, _| open.repeat(depth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs for seed 1234567, as in the test of Rosetta Code's "splitmix64".
        let mut random = Random::new(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn the_same_seed_gives_the_same_input() {
        let make = |seed| mutate("a = \"1 GiB\"\nb = 2\n", "c = 3\n", &mut Random::new(seed));
        assert_eq!(make(7), make(7));
        let distinct: std::collections::BTreeSet<String> = (0..200).map(make).collect();
        assert!(distinct.len() > 150, "only {} different inputs", distinct.len());
    }

    #[test]
    fn nothing_is_too_short_to_change() {
        for seed in 0..500 {
            mutate("", "", &mut Random::new(seed));
            mutate("é", "", &mut Random::new(seed));
        }
    }
}
