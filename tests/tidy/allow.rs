//! Exceptions from the rules, each with the reason why it is right.

use crate::tree::Complaint;

/// One exception.
pub struct Exception {
    /// The rule it is taken from.
    pub rule: &'static str,
    /// The file.
    pub path: &'static str,
    /// What the line must contain; empty means every line of the file.
    pub line: &'static str,
    /// Why the rule is wrong here.
    pub reason: &'static str,
}

/// All exceptions. One that is no longer needed fails the rule it is taken from.
pub const EXCEPTIONS: &[Exception] = &[
    keys_of_others("src/export/accelerate.rs"),
    keys_of_others("src/export/deepspeed.rs"),
    keys_of_others("src/export/maxtext.rs"),
    keys_of_others("src/export/megatron.rs"),
    keys_of_others("src/export/megatron/flags.rs"),
    keys_of_others("src/layout.rs"),
    keys_of_others("src/layout/megatron.rs"),
    keys_of_others("src/layout/tests.rs"),
    Exception {
        rule: "vocabulary",
        path: "src/machines/tests.rs",
        line: "# nThread",
        reason: "a log of nccl-tests is quoted as it is printed",
    },
];

/// A file that states the keys of another trainer, which are named by its authors.
const fn keys_of_others(path: &'static str) -> Exception {
    let reason = "keys of another trainer are named by its authors";
    Exception { rule: "vocabulary", path, line: "", reason }
}

/// The complaints of `rule` that no exception covers, then the exceptions that cover nothing.
pub fn unexcused(rule: &str, complaints: Vec<Complaint>, list: &[Exception]) -> Vec<String> {
    let own: Vec<&Exception> = list.iter().filter(|exception| exception.rule == rule).collect();
    let stale = own.iter().filter(|exception| !complaints.iter().any(|c| exception.covers(c)));
    let stale: Vec<String> = stale
        .map(|e| format!("tests/tidy/allow.rs: nothing in {} needs `{}` any more", e.path, e.line))
        .collect();
    let open = complaints.iter().filter(|c| !own.iter().any(|exception| exception.covers(c)));
    open.map(|c| format!("{}:{}: {}", c.path, c.line, c.message)).chain(stale).collect()
}

impl Exception {
    fn covers(&self, complaint: &Complaint) -> bool {
        complaint.path == self.path && complaint.excerpt.contains(self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::File;

    const LIST: &[Exception] =
        &[Exception { rule: "r", path: "a.rs", line: "x()", reason: "because of the test" }];

    #[test]
    fn an_exception_covers_its_line_only() {
        let file = File::fake("a.rs", "x();\ny();\n");
        let complaints = vec![file.complain(1, "bad"), file.complain(2, "bad")];
        assert_eq!(unexcused("r", complaints, LIST), ["a.rs:2: bad"]);
    }

    #[test]
    fn an_exception_that_covers_nothing_fails() {
        let left = unexcused("r", Vec::new(), LIST);
        assert!(left[0].contains("any more"), "{left:?}");
        assert!(unexcused("other rule", Vec::new(), LIST).is_empty());
    }

    #[test]
    fn every_exception_says_why() {
        let silent = EXCEPTIONS.iter().find(|e| e.reason.split_whitespace().count() < 4);
        assert!(silent.is_none_or(|e| panic!("{}: the reason says too little", e.path)));
    }
}
