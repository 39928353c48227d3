//! Constructs that are not used here, and what to write instead.

use crate::lexer::{self, Mask};
use crate::tree::{Complaint, File};

/// Banned everywhere, tests included.
const CONSTRUCTS: [(&str, &str); 8] = [
    ("todo!", "finish it, or leave the feature out and say so in the documents"),
    ("unimplemented!", "return an error that says what would work"),
    ("dbg!", "delete it"),
    ("#[allow(", "write #[expect(lint, reason = \"…\")]"),
    ("#![allow(", "write #![expect(lint, reason = \"…\")]"),
    ("#[ignore", "make the test fast or delete it; skipped tests rot"),
    ("#[should_panic", "return a Result and assert on the error"),
    ("#[serde(untagged", "tag the enum: untagged errors tell the reader nothing"),
];

/// Banned in comments and documents.
const MARKERS: [&str; 3] = ["TODO", "FIXME", "XXX"];

/// Parts of `std` through which a pure crate would see the world.
const WORLD: [&str; 5] = ["fs", "env", "time", "net", "process"];

/// Macros that print.
const PRINT: [&str; 4] = ["println!", "eprintln!", "print!", "eprint!"];

/// Folders a machine has and a repository does not.
const MACHINE: [&str; 5] = ["/home/", "/root/", "/Users/", "/mnt/", "/work/"];

/// No unfinished work, no silenced lints, no skipped tests.
pub fn constructs(file: &File) -> Vec<Complaint> {
    if !file.is_rust() {
        return Vec::new();
    }
    let code = Mask::new(&file.text).code;
    let find = |&(construct, instead): &(&str, &str)| {
        hits(&code, construct)
            .map(|line| file.complain(line, format!("`{construct}`: {instead}")))
            .collect::<Vec<_>>()
    };
    CONSTRUCTS.iter().flat_map(find).collect()
}

/// No notes to oneself; they belong in the tracker.
pub fn markers(file: &File) -> Vec<Complaint> {
    let text = if file.is_rust() { Mask::new(&file.text).comments } else { file.text.clone() };
    let marked = lexer::words(&text).filter(|(_, word)| MARKERS.contains(word));
    marked
        .map(|(at, word)| {
            let line = lexer::line_of(&text, at);
            file.complain(line, format!("`{word}`: open an issue, or do it now"))
        })
        .collect()
}

/// Libraries return errors; they do not end the process on input they did not expect.
pub fn unwraps(file: &File) -> Vec<Complaint> {
    if !file.is_rust() || file.is_in("src") {
        return Vec::new();
    }
    let code = file.shipped_code();
    let message = "return an error, or restructure so that the case cannot occur";
    let find =
        |call: &str| hits(&code, call).map(|line| file.complain(line, message)).collect::<Vec<_>>();
    [".unwrap()", ".expect(", ".unwrap_err()"].into_iter().flat_map(find).collect()
}

/// The order in which a hash map is walked changes from run to run.
pub fn hash_maps(file: &File) -> Vec<Complaint> {
    if !file.is_rust() || !file.is_pure() {
        return Vec::new();
    }
    let code = file.shipped_code();
    let uses = lexer::words(&code).filter(|(_, word)| matches!(*word, "HashMap" | "HashSet"));
    let mut lines: Vec<usize> = uses.map(|(at, _)| lexer::line_of(&code, at)).collect();
    lines.dedup();
    let is_excused = |line: usize| file.complain(line, "").excerpt.contains("// lookup only");
    let open = lines.into_iter().filter(|&line| !is_excused(line));
    let message = "use BTreeMap; a map that is never walked may say `// lookup only` on its line";
    open.map(|line| file.complain(line, message)).collect()
}

/// Pure crates see only their arguments; only `src/` and the executor touch the world.
pub fn world(file: &File) -> Vec<Complaint> {
    if !file.is_rust() || file.is_in("src") || file.is_in("executor") {
        return Vec::new();
    }
    let code = file.shipped_code();
    let prints = PRINT.iter().flat_map(|name| {
        let message = format!("`{name}`: return the text; only src/ prints");
        hits(&code, name).map(|line| file.complain(line, &message)).collect::<Vec<_>>()
    });
    let is_world = |name: &str| WORLD.contains(&name) || (name == "io" && file.is_pure());
    let imports = std_modules(&code).into_iter().filter(|(_, name)| is_world(name));
    let imports = imports.map(|(line, name)| {
        file.complain(line, format!("`std::{name}`: take the value as an argument; src/ reads it"))
    });
    prints.chain(imports).collect()
}

/// Modules of `std` named in `code`, in groups too: `std::{fmt, fs::File}` names `fmt` and `fs`.
fn std_modules(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, path) in code.match_indices("std::") {
        let rest = &code[at + path.len()..];
        let names: Vec<String> = match rest.strip_prefix('{') {
            Some(group) => group_heads(group),
            None => first_word(rest).into_iter().collect(),
        };
        found.extend(names.into_iter().map(|name| (lexer::line_of(code, at), name)));
    }
    found
}

/// First names of a use group's entries; `group` starts behind its brace.
fn group_heads(group: &str) -> Vec<String> {
    let mut depth = 0i32;
    let mut entries = vec![String::new()];
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => entries.push(String::new()),
            _ => {}
        }
        if let Some(entry) = entries.last_mut() {
            entry.push(c);
        }
    }
    entries.iter().filter_map(|entry| first_word(entry)).collect()
}

fn first_word(text: &str) -> Option<String> {
    lexer::words(text).next().map(|(_, word)| word.to_string())
}

/// A path of one machine is of no use on another.
pub fn machine_paths(file: &File) -> Vec<Complaint> {
    let is_root = |text: &str, at: usize| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~'))
    };
    let find = |(i, line): (usize, &str)| {
        let path =
            MACHINE.iter().find(|&&p| line.match_indices(p).any(|(at, _)| is_root(line, at)));
        path.map(|p| file.complain(i + 1, format!("`{p}…` exists on one machine only")))
    };
    file.text.lines().enumerate().filter_map(find).collect()
}

/// Lines of `needle` in `code` where it starts a word (`dbg!` is not in `mydbg!`).
fn hits<'a>(code: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    let starts_word = |at: usize| {
        let before = code[..at].chars().next_back();
        !needle.starts_with(char::is_alphabetic)
            || !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    };
    let found = code.match_indices(needle).filter(move |&(at, _)| starts_word(at));
    found.map(|(at, _)| lexer::line_of(code, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(complaints: &[Complaint]) -> Vec<usize> {
        complaints.iter().map(|complaint| complaint.line).collect()
    }

    #[test]
    fn each_banned_construct_fails_and_its_mention_does_not() {
        for (construct, _) in CONSTRUCTS {
            let file =
                File::fake("a/src/b.rs", &format!("// {construct}\nfn f() {{ {construct} }}"));
            assert_eq!(lines(&constructs(&file)), [2], "{construct}");
        }
    }

    #[test]
    fn notes_to_oneself_fail_in_comments_and_documents() {
        for marker in MARKERS {
            let code = format!("let x = \"{marker}\"; // fine\n// {marker}: later\n");
            assert_eq!(lines(&markers(&File::fake("a.rs", &code))), [2]);
            assert_eq!(lines(&markers(&File::fake("a.md", &format!("x {marker}")))), [1]);
        }
    }

    #[test]
    fn unwrap_fails_in_libraries_outside_of_tests() {
        let text = "fn f() { a.unwrap(); b.unwrap_or(1); }\nfn g() { c\n.expect(\"x\"); }\n\
                    #[cfg(test)]\nmod tests { fn h() { d.unwrap(); } }\n";
        assert_eq!(lines(&unwraps(&File::fake("plan/src/a.rs", text))), [1, 3]);
        assert!(unwraps(&File::fake("plan/tests/a.rs", text)).is_empty());
        assert!(unwraps(&File::fake("src/main.rs", text)).is_empty());
    }

    #[test]
    fn hash_maps_fail_in_pure_crates_unless_they_say_why() {
        let text = "use std::collections::HashMap; // lookup only\nlet x: HashSet<u8>;\n";
        assert_eq!(lines(&hash_maps(&File::fake("planner/src/a.rs", text))), [2]);
        assert!(hash_maps(&File::fake("src/a.rs", text)).is_empty());
    }

    #[test]
    fn the_world_is_closed_to_pure_crates() {
        let text = "use std::{fmt, fs::File, a::{self, env}};\nlet t = std::time::Instant::now();\n\
                    println!(\"x\");\nuse std::collections::BTreeMap;\n";
        assert_eq!(lines(&world(&File::fake("plan/src/a.rs", text))), [3, 1, 2]);
        let reads = "use std::io::Read;\n";
        assert_eq!(lines(&world(&File::fake("planner/src/a.rs", reads))), [1]);
        assert!(world(&File::fake("tui/src/a.rs", reads)).is_empty());
        assert!(world(&File::fake("src/a.rs", text)).is_empty());
        assert!(world(&File::fake("executor/src/a.rs", text)).is_empty());
    }

    #[test]
    fn paths_of_a_machine_fail() {
        for folder in MACHINE {
            let text = format!("see {folder}x\nsee https://example.org{folder}x\n");
            assert_eq!(lines(&machine_paths(&File::fake("a.md", &text))), [1], "{folder}");
        }
    }
}
