//! The names of a scenario, read without reading the rest of the file.

use super::reader::{Problems, Table, read};

/// What people may type for a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The name; equals the file's stem.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
}

/// Reads `name` and `aliases`, which stand before the first table of every scenario. Only that head
/// of the text is parsed, so an index over all files stays cheap.
///
/// # Errors
/// Problems of the head.
pub fn names(text: &str) -> Result<Names, Problems> {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with('[') {
            break;
        }
        end += line.len();
    }
    read(&text[..end], |file| {
        let name = name(file);
        let aliases = file.optional("aliases", |item| item.texts()).unwrap_or_default();
        // The other keys of the head belong to the full parser.
        file.each(|_| {});
        Some(Names { name: name?, aliases })
    })
}

/// The required `name`: lower case letters, digits, `-` and `.`, so that it can be typed and be a
/// file name.
pub(super) fn name(file: &Table<'_>) -> Option<String> {
    file.required("name", |item| {
        let name = item.text()?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if name.chars().all(plain) && !name.starts_with(['-', '.']) {
            return Some(name);
        }
        item.refuse("a name has lower case letters, digits, `-` and `.`, like \"gpt2-medium\"")
    })
}

/// The optional `aliases`.
pub(super) fn aliases(file: &Table<'_>) {
    file.optional("aliases", |item| item.texts());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_head_is_read() {
        let text =
            "schema = 1\nname = \"a\"\nlabel = \"A\"\naliases = [\"b\", \"c\"]\n[x]\nnonsense";
        let expected = Names { name: "a".into(), aliases: vec!["b".into(), "c".into()] };
        assert_eq!(names(text), Ok(expected));
    }

    #[test]
    fn a_head_without_a_name_is_refused() {
        let problems = names("schema = 1\n[x]\n").unwrap_err();
        assert_eq!(problems.list[0].message, "missing key `name` at the top of the file");
        assert!(names("schema = 1\nname = \"Two Words\"\n").is_err());
    }
}
