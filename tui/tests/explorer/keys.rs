//! Keys at random: nothing panics, everything can be drawn, the cursor stays inside.

use crate::canned::{Canned, measured};
use std::collections::VecDeque;
use tui::capture::buffer;
use tui::key::Key;
use tui::keymap::KEYMAP;
use tui::message::Effect;
use tui::theme::Look;
use tui::{Message, Model, update};

/// Keys and clicks that are pressed in all.
const PRESSED: usize = 120_000;
/// Drawn once in so many.
const DRAWN: usize = 12;
const SIZES: [(u16, u16); 6] = [(80, 24), (100, 30), (160, 50), (81, 60), (200, 24), (30, 9)];

/// The generator of Numerical Recipes: good enough to press keys.
struct Dice(u32);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % sides.max(1)
    }
}

fn event(dice: &mut Dice, model: &Model) -> Message {
    const TEXTS: &[u8] = b"tp=2 <>!mem/19autodense";
    let (columns, rows) = model.size;
    match dice.roll(40) {
        0 => Message::Click(dice.roll(columns.into()) as u16, dice.roll(rows.into()) as u16),
        1 => Message::Wheel(dice.roll(2) == 0),
        2 => {
            let (columns, rows) = SIZES[dice.roll(SIZES.len())];
            Message::Resize(columns, rows)
        }
        3..9 => Message::Key(Key::Char(char::from(TEXTS[dice.roll(TEXTS.len())]))),
        _ => {
            let binding = &KEYMAP[dice.roll(KEYMAP.len())];
            Message::Key(binding.keys[dice.roll(binding.keys.len())])
        }
    }
}

/// Answers wait in a queue, so that some come late and some too late.
fn pressed(canned: &Canned, mut model: Model, effects: Vec<Effect>, seed: u32) {
    let mut dice = Dice(seed);
    let mut waiting: VecDeque<Effect> = effects.into();
    for at in 0..PRESSED / 2 {
        let message = event(&mut dice, &model);
        waiting.extend(update(&mut model, message));
        while waiting.len() > 3 || (!waiting.is_empty() && dice.roll(4) == 0) {
            let Some(effect) = waiting.pop_front() else { break };
            for message in canned.messages(effect).into_iter().flatten() {
                waiting.extend(update(&mut model, message));
            }
        }
        if at % DRAWN == 0 {
            let drawn = buffer(&model);
            assert_eq!(drawn.area.width, model.size.0);
        }
        assert!(model.knob < tui::knob::Knob::ALL.len());
        assert!(model.undo.len() <= 100);
    }
}

#[test]
fn no_keys_break_it() {
    let (mlstm, llama) = (Canned::mlstm(), Canned::llama());
    let measured = measured(&llama);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let look = Look { has_colour: true, ..Look::default() };
            let (model, first) = Model::new(mlstm.ask(), mlstm.menu(), look, (80, 24), None);
            pressed(&mlstm, model, first, 1);
        });
        let look = Look { is_ascii: true, ..Look::default() };
        let (model, first) =
            Model::new(llama.ask(), llama.menu(), look, (100, 30), Some(&measured));
        pressed(&llama, model, first, 2);
    });
}
