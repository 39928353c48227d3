//! "Did you mean …?": the known word that is closest to what was typed.

/// The candidate closest to `word`, if it is close enough to be what was meant.
///
/// Closeness is the optimal-string-alignment distance (insert, delete, replace, or swap two
/// neighbours), ignoring case and treating `_`, `.` and blanks like `-`. A third of the letters may
/// differ, at least one and at most four; ties go to the candidate that shares the longer prefix,
/// then to the earlier one.
///
/// ```
/// use plan::suggest::closest;
/// assert_eq!(closest("mlstm4069", ["mlstm4096", "mlstm8192"]), Some("mlstm4096"));
/// assert_eq!(closest("bert", ["mlstm4096", "rhn-char"]), None);
/// ```
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = normal(word);
    let allowed = (typed.len() / 3).clamp(1, 4);
    let mut best: Option<((usize, usize), &'a str)> = None;
    for candidate in candidates {
        let known = normal(candidate);
        if typed.len().abs_diff(known.len()) > allowed {
            continue;
        }
        let rank = (distance_of(&typed, &known), usize::MAX - common_prefix(&typed, &known));
        if rank.0 <= allowed && best.is_none_or(|(so_far, _)| rank < so_far) {
            best = Some((rank, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Edits that turn `a` into `b`: insert, delete, replace one letter, or swap two neighbours
/// (optimal string alignment: no part is edited twice).
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    distance_of(&a, &b)
}

fn normal(word: &str) -> Vec<char> {
    let plain = |c: char| if matches!(c, '_' | '.' | ' ') { '-' } else { c };
    word.chars().flat_map(char::to_lowercase).map(plain).collect()
}

fn common_prefix(a: &[char], b: &[char]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

fn distance_of(a: &[char], b: &[char]) -> usize {
    // Three rows of the table are enough: a swap looks two rows back.
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, &y) in b.iter().enumerate() {
            let replace = above[j] + usize::from(x != y);
            row[j + 1] = replace.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = above;
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_edit_of_each_kind_counts_one() {
        assert_eq!(distance("latency", "latency"), 0);
        assert_eq!(distance("latencey", "latency"), 1, "delete");
        assert_eq!(distance("latncy", "latency"), 1, "insert");
        assert_eq!(distance("lateney", "latency"), 1, "replace");
        assert_eq!(distance("laetncy", "latency"), 1, "swap");
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        // Optimal string alignment may not insert between swapped letters (true Damerau: 2).
        assert_eq!(distance("ca", "abc"), 3);
    }

    #[test]
    fn close_names_are_found_and_far_ones_are_not() {
        let models = ["mlstm4096", "mlstm8192", "llama3-8b", "llama3-70b"];
        assert_eq!(closest("mlstm4069", models), Some("mlstm4096"));
        assert_eq!(closest("LLaMA3_8B", models), Some("llama3-8b"));
        assert_eq!(closest("llama3-7b", models), Some("llama3-70b"), "longer prefix wins the tie");
        assert_eq!(closest("resnet50", models), None);
        assert_eq!(closest("", models), None);
        assert_eq!(closest("x", []), None);
    }

    #[test]
    fn short_words_allow_one_edit() {
        assert_eq!(closest("tp", ["dp", "pp"]), Some("dp"));
        assert_eq!(closest("tpx", ["dp"]), None);
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_bounded(a in "[a-d]{0,8}", b in "[a-d]{0,8}") {
            let d = distance(&a, &b);
            prop_assert_eq!(d, distance(&b, &a));
            prop_assert_eq!(d == 0, a == b);
            prop_assert!(d <= a.len().max(b.len()));
            prop_assert!(d >= a.len().abs_diff(b.len()));
        }

        #[test]
        fn a_known_word_is_its_own_suggestion(word in "[a-z0-9-]{1,12}") {
            prop_assert_eq!(closest(&word, ["zz-other", word.as_str()]), Some(word.as_str()));
        }
    }
}
