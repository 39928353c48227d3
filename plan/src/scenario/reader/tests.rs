//! The reader on small files of its own.

use super::*;
use crate::estimate::{Grade, Sourced};
use crate::units::{Bytes, Seconds};

const HEAD: &str = "schema = 1\nname = \"x\"\n";

fn messages<T>(text: &str, parse: impl FnOnce(&Table<'_>) -> Option<T>) -> Vec<String> {
    let body = format!("{HEAD}{text}");
    let problems = read(&body, parse).err().map(|p| p.list).unwrap_or_default();
    problems.into_iter().map(|problem| problem.message).collect()
}

#[test]
fn all_problems_come_at_once_and_in_order() {
    let text = "size = 80\nlayrs = 3\nratio = nan\n[link]\nlatencey = \"5 us\"\n";
    let found = messages(text, |file| {
        let size = file.required("size", |item| item.quantity::<Bytes>());
        let layers = file.required("layers", |item| item.count(1));
        let ratio = file.required("ratio", Item::fraction);
        let label = file.required("label", Item::text);
        let link = file.table("link", |t| t.required("latency", |i| i.quantity::<Seconds>()));
        Some((size?, layers?, ratio?, label?, link?))
    });
    let expected = [
        "missing key `label` at the top of the file",
        "`size`: a size needs a unit, for example \"80 GiB\"",
        "unknown key `layrs`; did you mean `layers`?",
        "`ratio`: expected a number from 0 to 1",
        "unknown key `latencey`; did you mean `latency`?",
    ];
    assert_eq!(found, expected);
}

#[test]
fn spans_point_at_what_is_wrong() {
    let text = format!("{HEAD}size = 80 # bytes\n");
    let problems = read(&text, |file| file.required("size", |i| i.quantity::<Bytes>()));
    assert_eq!(&text[problems.unwrap_err().list[0].span.clone()], "80");
    let problems = read(&text, |file| file.optional("sise", |i| i.quantity::<Bytes>()));
    assert_eq!(&text[problems.unwrap_err().list[0].span.clone()], "size");
}

fn origin(text: &str) -> Sourced<f64> {
    let body = format!("{HEAD}[sources]\nsheet = \"published: data sheet\"\n[a]\n{text}\n");
    read(&body, |file| file.table("a", |t| t.sourced("v", Item::fraction))).unwrap()
}

#[test]
fn a_source_is_an_alias_or_stands_beside_the_value_or_the_table() {
    let published = Sourced::new(0.5, Grade::Published, "data sheet");
    assert_eq!(origin("v = { value = 0.5, source = \"sheet\" }"), published);
    assert_eq!(origin("v = { value = 0.5, source = \"published: data sheet\" }"), published);
    assert_eq!(origin("source = \"sheet\"\nv = 0.5"), published);
    let nearer = "source = \"sheet\"\nv = { value = 0.5, source = \"assumed: a guess\" }";
    assert_eq!(origin(nearer), Sourced::new(0.5, Grade::Assumed, "a guess"));
}

#[test]
fn a_source_in_a_table_without_sourced_values_is_an_unknown_key() {
    let text = "[a]\nv = 0.5\nsource = \"published: data sheet\"\n";
    let found = messages(text, |file| file.table("a", |t| t.required("v", Item::fraction)));
    assert_eq!(found, ["unknown key `source`"]);
}

#[test]
fn counts_take_a_noun_and_stay_in_bounds() {
    let count = |text: &str| {
        let body = format!("{HEAD}n = {text}\n");
        read(&body, |file| file.required("n", |item| item.count_of("tokens"))).ok()
    };
    assert_eq!(count("\"256 tokens\""), Some(256));
    assert_eq!(count("\"1 token\""), Some(1));
    assert_eq!(count("\"1,024 tokens\""), Some(1024));
    assert_eq!(count("256"), Some(256));
    for wrong in ["\"256\"", "\"256 words\"", "0", "\"0 tokens\"", "-1", "\"1e3 tokens\"", "2.0"] {
        assert_eq!(count(wrong), None, "{wrong}");
    }
    assert_eq!(count(&MAX_COUNT.to_string()), Some(MAX_COUNT));
    assert_eq!(count(&(MAX_COUNT + 1).to_string()), None);
}

#[test]
fn free_keys_come_in_the_order_of_the_file() {
    let mut seen = Vec::new();
    let text = format!("{HEAD}[dims]\nzeta = 1\nalpha = 2\nmid = 3\nsource = 4\n");
    let all = read(&text, |file| {
        file.table("dims", |dims| {
            dims.each(|item| seen.push((item.key().to_string(), item.count(1))));
            Some(())
        })
    });
    assert_eq!(all, Ok(()));
    let keys: Vec<&str> = seen.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["zeta", "alpha", "mid", "source"]);
}

#[test]
fn a_parser_that_gives_up_silently_is_still_an_error() {
    assert_eq!(messages("", |_| None::<()>).len(), 1);
}
