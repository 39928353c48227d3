//! Numbers in notes.

/// The number that follows `word` in `text`; `head_dim 128`, `head_dim=128` and `head_dim: 128`
/// are alike.
#[must_use]
pub fn number_after(text: &str, word: &str) -> Option<u64> {
    let at = text.find(word)? + word.len();
    let rest = text[at..].trim_start_matches([' ', '=', ':']);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The range that follows `word`: `only 23-57Gbps`.
#[must_use]
pub fn range_after(text: &str, word: &str) -> Option<(f64, f64)> {
    let at = text.find(word)? + word.len();
    let (low, rest) = text[at..].trim_start().split_once('-')?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let (low, high) = (low.parse::<u32>().ok()?, digits.parse::<u32>().ok()?);
    Some((f64::from(low), f64::from(high)))
}

#[cfg(test)]
mod tests {
    use super::{number_after, range_after};

    #[test]
    fn a_range_follows_its_word() {
        assert_eq!(range_after("reached only 23-57Gbps here", "only"), Some((23.0, 57.0)));
        assert_eq!(range_after("only some-57", "only"), None);
        assert_eq!(range_after("only 23", "only"), None);
        assert_eq!(range_after("", "only"), None);
    }

    #[test]
    fn a_number_follows_its_word() {
        assert_eq!(number_after("a; head_dim 128 default", "head_dim"), Some(128));
        assert_eq!(number_after("head_dim=64,", "head_dim"), Some(64));
        assert_eq!(number_after("head_dim unknown", "head_dim"), None);
        assert_eq!(number_after("", "head_dim"), None);
        assert_eq!(number_after("n 99999999999999999999999", "n"), None);
    }
}
