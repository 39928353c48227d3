//! Numbers for screens, where `plan::units` has no form for them.

/// A whole number with thousands separators.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A difference in percent with its sign: `+1.4 %`, `−0.3 %`, `0.0 %`.
pub fn signed_percent(fraction: f64) -> String {
    let tenths = (fraction * 1000.0).round();
    match tenths {
        t if t > 0.0 => format!("+{:.1} %", t / 10.0),
        t if t < 0.0 => format!("−{:.1} %", -t / 10.0),
        _ => "0.0 %".to_string(),
    }
}

/// A word for one, another for more: `1 problem`, `2 problems`.
pub fn counted(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {many}", grouped(n as u64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let shown: Vec<String> = [0, 7, 999, 1000, 49_152, 16_777_216].map(grouped).into();
        assert_eq!(shown, ["0", "7", "999", "1,000", "49,152", "16,777,216"]);
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn differences_carry_their_sign_and_zero_has_none() {
        assert_eq!(signed_percent(0.014), "+1.4 %");
        assert_eq!(signed_percent(-0.0034), "−0.3 %");
        assert_eq!(signed_percent(-0.0001), "0.0 %");
        assert_eq!(counted(1, "problem", "problems"), "1 problem");
        assert_eq!(counted(2000, "file", "files"), "2,000 files");
    }
}
