//! What keys, clicks and answers do.

use crate::canned::Canned;
use plan::exchange::Exchange;
use std::fs;
use std::path::Path;
use tui::capture::{buffer, text};
use tui::key::Key;
use tui::keymap::KEYMAP;
use tui::message::{Effect, Part};
use tui::model::{Answered, Overlay};
use tui::theme::Look;
use tui::{Message, Model, Screen, documents, key, update};

fn model() -> (Canned, Model) {
    let canned = Canned::llama();
    let model = canned.model((100, 30), Look::default());
    (canned, model)
}

fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let keys = key::parse(keys).unwrap();
    keys.into_iter().flat_map(|key| update(model, Message::Key(key))).collect()
}

#[test]
fn answers_to_older_questions_are_dropped() {
    let (canned, mut model) = model();
    let before = model.generation;
    let effects = press(&mut model, "6 j j j j j l");
    assert_eq!(model.ask.pins.tp, Some(1));
    assert!(model.is_solving && model.generation == before + 1);
    let refused = Part::Refused(tui::Refusal::new("too late"));
    update(&mut model, Message::Answer(before, refused));
    assert!(model.is_solving && matches!(model.answered, Answered::Plan(_)));
    canned.settle(&mut model, effects);
    assert!(!model.is_solving && !model.is_refining);
}

#[test]
fn changes_are_taken_back_and_made_again() {
    let (_, mut model) = model();
    let first = model.ask.clone();
    press(&mut model, "6 j j j j j l l");
    let second = model.ask.clone();
    assert_eq!(second.pins.tp, Some(2));
    press(&mut model, "u u");
    assert_eq!(model.ask, first);
    press(&mut model, "u");
    assert_eq!(model.notice.as_ref().map(|n| n.text.as_str()), Some("nothing was changed"));
    press(&mut model, "<C-r> <C-r>");
    assert_eq!(model.ask, second);
    press(&mut model, "*");
    assert_eq!(model.ask, first);
}

#[test]
fn typed_values_and_commands_change_the_question() {
    let (_, mut model) = model();
    press(&mut model, ": e m b e d d i n g <space> u n i q u e <enter>");
    assert_eq!(model.ask.pins.exchange, Some(Exchange::Unique));
    press(&mut model, "6 <enter> 6 4 <enter>");
    assert_eq!(model.ask.gpus, 64);
    press(&mut model, "t z <enter>");
    assert!(model.notice.is_some_and(|n| n.text.contains("whole number")));
}

#[test]
fn pages_are_written_under_the_name_of_the_plan() {
    let (canned, mut model) = model();
    let id = canned.report.plan.id.clone();
    let effects = press(&mut model, "x");
    let Some(Effect::Export(page)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!((page.path.as_str(), &page.ask), (format!("{id}.html").as_str(), &model.ask));
    assert!(model.notice.as_ref().is_some_and(|n| n.text.starts_with("writing ")));
    canned.settle(&mut model, effects);
    let said = model.notice.as_ref().map(|n| n.text.clone());
    assert_eq!(said, Some(format!("the page is {id}.html")));
    let effects = press(&mut model, ": e x p o r t <space> a . h t m l <enter>");
    assert!(matches!(&effects[..], [Effect::Export(page)] if page.path == "a.html"));
    // Of a question that is open there is no page yet, and a name leads out of no folder.
    press(&mut model, "6 l");
    assert!(model.is_solving && press(&mut model, "x").is_empty());
    let (_, mut model) = self::model();
    let Answered::Plan(report) = &mut model.answered else { panic!("it is answered") };
    report.plan.id = "../../a b".into();
    let effects = press(&mut model, "x");
    assert!(matches!(&effects[..], [Effect::Export(page)] if page.path == "ab.html"));
}

#[test]
fn matches_of_the_filter_go_round() {
    let (_, mut model) = model();
    press(&mut model, "2 n");
    let said = model.notice.as_ref().map(|n| n.text.as_str());
    assert_eq!(said, Some("there is no filter; / asks for one"));
    press(&mut model, "/ t p = 8 <enter>");
    let all = model.listed().len();
    assert!(all > 2);
    press(&mut model, "N");
    assert_eq!(model.list.at, all - 1);
    press(&mut model, "n n");
    assert_eq!(model.list.at, 1);
    press(&mut model, "/ z z <enter> n");
    let said = model.notice.as_ref().map(|n| n.text.as_str());
    assert_eq!(said, Some("nothing passes the filter"));
}

#[test]
fn leaving_a_changed_plan_is_asked_about() {
    let (canned, mut model) = model();
    assert!(matches!(press(&mut model, "q")[..], [Effect::Quit]));
    let effects = press(&mut model, "6 l");
    canned.settle(&mut model, effects);
    assert!(press(&mut model, "q").is_empty());
    assert!(press(&mut model, "n").is_empty() && model.overlay.is_none());
    let effects = press(&mut model, "s");
    canned.settle(&mut model, effects);
    assert!(matches!(press(&mut model, "q")[..], [Effect::Quit]));
}

#[test]
fn a_click_does_what_its_key_does() {
    let (_, mut model) = model();
    let find = |model: &Model, word: &str| {
        let text = text(&buffer(model));
        let place = |(y, line): (usize, &str)| {
            let at = line.find(word)?;
            Some((line[..at].chars().count() as u16, y as u16))
        };
        text.lines().enumerate().find_map(place).expect("it is on the screen")
    };
    let (x, y) = find(&model, "2 Candidates");
    update(&mut model, Message::Click(x, y));
    assert_eq!(model.screen, Screen::Candidates);
    update(&mut model, Message::Click(5, 6));
    assert_eq!(model.list.at, 2);
    let (x, y) = find(&model, "? help");
    update(&mut model, Message::Click(x, y));
    assert!(matches!(model.overlay, Some(Overlay::Help(0))));
    update(&mut model, Message::Wheel(true));
    assert!(matches!(model.overlay, Some(Overlay::Help(1))));
}

#[test]
fn every_key_is_in_the_help() {
    let (_, mut model) = model();
    press(&mut model, "?");
    let mut seen = String::new();
    for _ in 0..tui::view::help_lines() {
        seen += &text(&buffer(&model));
        update(&mut model, Message::Key(Key::Down));
    }
    for binding in KEYMAP {
        assert!(seen.contains(binding.does), "{}", binding.does);
        assert!(seen.contains(&tui::keymap::keys(binding)), "{}", binding.does);
    }
}

#[test]
fn the_document_has_the_table_of_keys() {
    const BEGIN: &str = "<!-- keys: from the table in tui/src/keymap -->\n";
    const END: &str = "<!-- end of keys -->";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/explore.md");
    let document = fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("the beginning of the keys");
    let (old, after) = rest.split_once(END).expect("the end of the keys");
    let table = documents::keys_table();
    if std::env::var_os("MESHWRIGHT_BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(old, table, "MESHWRIGHT_BLESS=1 rewrites the table");
}

#[test]
fn every_choice_of_a_screen_is_reachable_with_the_arrows() {
    let (canned, mut model) = model();
    for number in 1..=7 {
        press(&mut model, &number.to_string());
        for key in [Key::Down, Key::End, Key::PageUp, Key::Right, Key::Left, Key::Home] {
            let effects = update(&mut model, Message::Key(key));
            canned.settle(&mut model, effects);
            let _drawn = buffer(&model);
        }
    }
    assert_eq!(model.knob, 0);
}
