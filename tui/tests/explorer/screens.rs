//! Screens as text and as styles. `MESHWRIGHT_BLESS=1 cargo test -p tui` rewrites them.

use crate::canned::{Canned, measured};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use tui::capture::{buffer, styles, text};
use tui::theme::Look;
use tui::{Message, Model, Screen, key, update};

const SIZES: [(u16, u16); 3] = [(80, 24), (100, 30), (160, 50)];
const COLOURS: Look = Look { has_colour: true, has_true_colour: false, is_ascii: false };

fn press(canned: &Canned, model: &mut Model, keys: &str) {
    for key in key::parse(keys).expect("keys") {
        let effects = update(model, Message::Key(key));
        canned.settle(model, effects);
    }
}

/// Compares with what is in the file, or writes it.
fn compare(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(name);
    if std::env::var_os("MESHWRIGHT_BLESS").is_some() {
        fs::write(&path, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    let lines = || expected.lines().zip(actual.lines()).enumerate();
    let first = lines().find(|(_, (expected, actual))| expected != actual);
    assert!(
        expected == actual,
        "{}: {first:#?}\nMESHWRIGHT_BLESS=1 accepts the screens",
        path.display()
    );
}

fn shot(title: &str, model: &Model) -> String {
    let drawn = buffer(model);
    let (columns, rows) = model.size;
    let mut shot = format!("== {title}, {columns} × {rows}\n{}", text(&drawn));
    if !model.look.is_ascii {
        let styles = styles(&drawn, model.look);
        let styles = styles.unwrap_or_else(|at| panic!("{title}: no role looks like {at:?}"));
        let _infallible = write!(shot, "-- styles\n{styles}");
    }
    shot
}

/// A screen in every size, and without Unicode.
fn every_size(canned: &Canned, keys: &str) -> String {
    let mut shots = String::new();
    for size in SIZES {
        for (word, look) in [("", COLOURS), (" in ASCII", Look { is_ascii: true, ..COLOURS })] {
            let mut model = canned.model(size, look);
            press(canned, &mut model, keys);
            shots += &shot(&format!("{keys}{word}"), &model);
        }
    }
    shots
}

#[test]
fn every_screen_is_as_it_was() {
    let (mlstm, llama) = (Canned::mlstm(), Canned::llama());
    for (number, screen) in (1..).zip(Screen::ALL) {
        let keys = if screen == Screen::Run { "7 R".to_string() } else { format!("{number} j") };
        let shots = every_size(&mlstm, &keys) + &every_size(&llama, &keys);
        compare(&format!("{}.txt", screen.name().to_lowercase()), &shots);
    }
}

#[test]
fn every_window_is_as_it_was() {
    let llama = Canned::llama();
    let windows = [
        "?",
        "? G",
        "i",
        "1 <tab> i",
        "2 w",
        "2 j w",
        "2 <space> <space> c",
        "2 / t p = 2",
        "2 , . r",
        "2 e",
        "3 + + l l j i",
        "3 ] -",
        "4 p j",
        "4 i",
        "5 i",
        "6 t 9 9 <enter>",
        "6 j j j j j l l l <tab> j",
        ": m e m r o y <enter>",
        ": m a x - m e m o r y <space> 5 0 <enter> 1",
        ": t p <space> 3 <enter> 1",
        "6 l q",
        "y",
        "s",
        "u",
        "7",
    ];
    let mut shots = String::new();
    for keys in windows {
        let mut model = llama.model((100, 30), COLOURS);
        press(&llama, &mut model, keys);
        shots += &shot(keys, &model);
    }
    let measured = measured(&llama);
    let (mut model, effects) =
        Model::new(llama.ask(), llama.menu(), COLOURS, (100, 30), Some(&measured));
    llama.settle(&mut model, effects);
    press(&llama, &mut model, "k k k");
    shots += &shot("--replay, k k k", &model);
    compare("windows.txt", &shots);
}

#[test]
fn small_terminals_get_a_sentence() {
    let canned = Canned::mlstm();
    for size in [(79, 24), (80, 23), (20, 5), (1, 1)] {
        let model = canned.model(size, Look::default());
        let text = text(&buffer(&model));
        assert!(size.0 < 20 || text.contains("too small"), "{text}");
        assert!(!text.contains("Headline"), "{text}");
    }
}

#[test]
fn ascii_screens_are_ascii_and_colourless_screens_have_no_colour() {
    let canned = Canned::llama();
    for number in 1..=7 {
        let mut model = canned.model((100, 30), Look { is_ascii: true, ..Look::default() });
        press(&canned, &mut model, &format!("{number} ?"));
        let drawn = buffer(&model);
        assert!(text(&drawn).is_ascii());
        let is_plain = |c: &ratatui::buffer::Cell| c.fg == ratatui::style::Color::Reset;
        assert!(drawn.content().iter().all(is_plain));
        assert!(!text(&drawn).contains('?') || model.overlay.is_some());
    }
}
