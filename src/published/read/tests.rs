//! Tables that are right, and tables that are not.

use super::*;
use proptest::prelude::*;

const HEADER: &str = "id,layers,hidden,seq,gpu,gpus,tp,pp,dp,global_batch,precision,notes";

fn table(lines: &[&str]) -> String {
    std::iter::once(HEADER).chain(lines.iter().copied()).map(|l| format!("{l}\n")).collect()
}

/// The message of the only problem, and the text that it is about.
fn refused(text: &str) -> (String, String) {
    let problems = match read(text) {
        Ok(table) => table.problems,
        Err(problems) => problems,
    };
    assert_eq!(problems.len(), 1, "{problems:?}");
    (problems[0].message.clone(), text[problems[0].span.clone()].to_string())
}

#[test]
fn cells_become_numbers_and_words() {
    let text = table(&["a,24,1024,2048,A100,8,1,,8.0,64,BF16,\"x, \"\"y\"\"\""]);
    let rows = read(&text).unwrap().rows;
    let row = &rows[0];
    assert_eq!((row.id.as_str(), row.line), ("a", 2));
    assert_eq!(row.shape.layers, Some(24));
    assert_eq!((row.run.pp, row.run.dp), (None, Some(8)));
    assert_eq!((row.precision.as_str(), row.notes.as_str()), ("bf16", "x, \"y\""));
    assert_eq!(row.measured.step, None);
    assert!(row.is_scored());
}

#[test]
fn text_in_a_number_is_marked_where_it_stands_and_other_rows_are_kept() {
    let text = table(&[
        "a,24,1024,2048,A100,8,1,1,8,64,bf16,\"one, two\"",
        "b,24,wide,2048,A100,8,1,1,8,64,bf16,",
    ]);
    let read = read(&text).unwrap();
    assert_eq!(read.rows.len(), 1);
    let (message, marked) = refused(&text);
    assert_eq!(marked, "wide");
    assert_eq!(message, "`hidden` is \"wide\", which is no number from 0 up");
}

#[test]
fn counts_are_whole() {
    let text = table(&["a,24,1024,2048,A100,8,1.5,1,8,64,bf16,"]);
    assert_eq!(refused(&text), ("`tp` is \"1.5\", which is no whole number".into(), "1.5".into()));
    let text = table(&["a,24,1024,2048,A100,-8,1,1,8,64,bf16,"]);
    assert_eq!(refused(&text).1, "-8");
}

#[test]
fn a_missing_column_is_named_with_the_one_that_is_meant() {
    let text = HEADER.replace("layers", "layrs") + "\n";
    let problems = read(&text).unwrap_err();
    assert_eq!(problems[0].message, "no column `layers`");
    assert_eq!(problems[0].hint.as_deref(), Some("is `layrs` meant?"));
}

#[test]
fn files_without_rows_say_so() {
    assert_eq!(refused("").0, "the file has no header: it is empty");
    assert_eq!(refused(&format!("{HEADER}\n")).0, "the table has a header and no rows");
}

#[test]
fn a_row_with_another_number_of_cells_is_refused() {
    let text = table(&["a,24,1024"]);
    assert_eq!(refused(&text).0, "3 cells where the header has 12");
}

#[test]
fn line_ends_and_byte_order_marks_of_other_systems_are_read() {
    let text = format!("\u{feff}{HEADER}\r\nb,24,x,2048,A100,8,1,1,8,64,bf16,\r\n");
    assert_eq!(refused(&text).1, "x");
}

#[test]
fn groups_without_a_column_are_named_by_their_source() {
    let text = "source,layers,hidden,seq,gpu,gpus,tp,pp,dp,global_batch,precision\n\
                NVIDIA/Megatron-LM tests,1,64,64,A100,1,1,1,1,1,bf16\n";
    assert_eq!(read(text).unwrap().rows[0].group, "NVIDIA/Megatron-LM");
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(body in "(?s).{0,300}", header: bool) {
        let text = if header { format!("{HEADER}\n{body}") } else { body };
        let problems = match read(&text) {
            Ok(table) => table.problems,
            Err(problems) => problems,
        };
        for problem in problems {
            prop_assert!(problem.span.start <= problem.span.end);
            prop_assert!(problem.span.end <= text.len() + 1);
        }
    }
}
