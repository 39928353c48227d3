//! Numbers and texts as screens show them.

use plan::units::{Bytes, Seconds};

/// A time.
#[must_use]
pub fn time(seconds: f64) -> String {
    Seconds::new(seconds).to_string()
}

/// A size.
#[must_use]
pub fn size(bytes: f64) -> String {
    Bytes::new(bytes).to_string()
}

/// A size in GiB, without its unit.
#[must_use]
pub fn gib(bytes: f64) -> String {
    let gib = Bytes::new(bytes).gib();
    match gib {
        g if g >= 100.0 => format!("{g:.0}"),
        g if g >= 10.0 || g == 0.0 => format!("{g:.1}"),
        g => format!("{g:.2}"),
    }
}

/// A difference in percent with its sign.
#[must_use]
pub fn signed(fraction: f64) -> String {
    let tenths = (fraction * 1000.0).round();
    match tenths {
        t if t > 0.0 => format!("+{:.1} %", t / 10.0),
        t if t < 0.0 => format!("−{:.1} %", -t / 10.0),
        _ => "0.0 %".into(),
    }
}

/// A part of a whole, in whole percents.
#[must_use]
pub fn percent_of(part: f64, whole: f64) -> String {
    format!("{:.0} %", part / whole.max(f64::MIN_POSITIVE) * 100.0)
}

/// A difference of times with its sign.
#[must_use]
pub fn signed_time(seconds: f64) -> String {
    match seconds {
        s if s.abs() < 5e-7 => "±0".into(),
        s if s > 0.0 => format!("+{}", time(s)),
        s => format!("−{}", time(-s)),
    }
}

/// A difference of sizes with its sign.
#[must_use]
pub fn signed_size(bytes: f64) -> String {
    match bytes {
        b if b.abs() < 512.0 * 1024.0 => "±0".into(),
        b if b > 0.0 => format!("+{}", size(b)),
        b => format!("−{}", size(-b)),
    }
}

/// A whole number with thousands separators.
#[must_use]
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let head = digits.len() % 3;
    let mut text = digits[..head].to_string();
    for chunk in digits.as_bytes()[head..].chunks(3) {
        if !text.is_empty() {
            text.push(',');
        }
        text.extend(chunk.iter().map(|b| char::from(*b)));
    }
    text
}

/// Breaks a text into lines of at most `width` columns.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word = word;
        loop {
            let last = lines.last_mut().map(|line| (line.chars().count(), line));
            let Some((used, line)) = last else { break };
            let length = word.chars().count();
            let blank = usize::from(used > 0);
            if used + blank + length <= width {
                line.push_str(if used > 0 { " " } else { "" });
                line.push_str(word);
                break;
            }
            if used == 0 {
                let cut = word.char_indices().nth(width).map_or(word.len(), |(at, _)| at);
                line.push_str(&word[..cut]);
                word = &word[cut..];
            }
            lines.push(String::new());
        }
    }
    lines
}

/// At most `width` columns of a text; what is missing is said.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    let mut kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept.push('…');
    kept
}

/// A text with blanks up to a width, at the right or at the left.
#[must_use]
pub fn padded(text: &str, width: usize, is_right: bool) -> String {
    let text = cut(text, width);
    let blanks = " ".repeat(width.saturating_sub(text.chars().count()));
    if is_right { blanks + &text } else { text + &blanks }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fit() {
        assert_eq!(wrap("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("abcdefghijkl m", 8), ["abcdefgh", "ijkl m"]);
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(padded("ab", 4, true), "  ab");
        assert_eq!(grouped(49_152), "49,152");
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(123), "123");
        assert_eq!(grouped(16_777_216), "16,777,216");
        assert_eq!(signed(-0.0034), "−0.3 %");
        assert_eq!(gib(6.25 * 1_073_741_824.0), "6.25");
    }
}
