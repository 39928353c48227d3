//! What may be written to a file is decided in one crate.

use crate::lexer::{self, Mask};
use crate::tree::{Complaint, File};

/// `Serialize` and `Deserialize` are derived on public types of `plan` only: such a type is part
/// of a file format, and formats are versioned in one place.
pub fn serde(file: &File) -> Vec<Complaint> {
    if !file.is_rust() || file.is_test() {
        return Vec::new();
    }
    let code = lexer::without_tests(&Mask::new(&file.text).code);
    let found = code.match_indices("derive(").filter_map(|(at, _)| {
        let list = code[at..].split(')').next()?;
        let names_serde = lexer::words(list).any(|(_, w)| matches!(w, "Serialize" | "Deserialize"));
        names_serde.then_some(at)
    });
    found.filter_map(|at| judge(file, &code, at)).collect()
}

fn judge(file: &File, code: &str, at: usize) -> Option<Complaint> {
    let line = lexer::line_of(code, at);
    if !file.is_in("plan") {
        return Some(file.complain(line, "serde derives belong to types of `plan`: move it there"));
    }
    let item = lexer::words(&code[at..]).find(|(_, w)| matches!(*w, "pub" | "struct" | "enum"));
    let is_public = item.is_some_and(|(_, word)| word == "pub");
    (!is_public)
        .then(|| file.complain(line, "a type that is written to files is public: say `pub`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_fails_outside_of_plan_and_on_private_types() {
        let public = "#[derive(Clone, Serialize)]\n#[serde(rename_all = \"x\")]\npub struct A;\n";
        let private = "#[derive(\n    Clone, Deserialize,\n)]\nstruct A;\n";
        assert!(serde(&File::fake("plan/src/a.rs", public)).is_empty());
        assert_eq!(serde(&File::fake("plan/src/a.rs", private)).len(), 1);
        assert_eq!(serde(&File::fake("planner/src/a.rs", public)).len(), 1);
        assert_eq!(serde(&File::fake("src/a.rs", &public.replace("Ser", "serde::Ser"))).len(), 1);
        assert!(serde(&File::fake("planner/src/a.rs", "#[derive(Clone)]\nstruct A;")).is_empty());
    }
}
