//! The terminal: taken, drawn to, listened to, and given back whatever happens.

use crate::host::{Host, RunEvent};
use crate::key::Key;
use crate::message::{Effect, Message, Page};
use crate::model::Model;
use crate::solver::Solver;
use crate::theme::Look;
use crate::update::update;
use crate::{Ask, view};
use plan::document::Plan;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{
    self, DisableMouseCapture, EnableMouseCapture, Event, KeyCode, KeyEvent, KeyEventKind,
    KeyModifiers, MouseButton, MouseEventKind,
};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, Stdout, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// How an exploration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The person left.
    Left,
    /// A signal came.
    Signalled,
}

/// The terminal is ours.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// What the loop waits for.
enum Incoming {
    Message(Message),
    Signal,
}

/// Explores until the person leaves. What is solved or trained then is left to end with the
/// process.
///
/// # Errors
/// When the terminal cannot be talked to.
pub fn explore(host: &Arc<dyn Host + Send + Sync>, ask: Ask, look: Look) -> io::Result<End> {
    let (send, incoming) = channel();
    let _taken = Taken::new()?;
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT])?;
    let from_signals = send.clone();
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _gone = from_signals.send(Incoming::Signal);
        }
    });
    let from_keys = send.clone();
    // A read of the terminal cannot be called off.
    thread::spawn(move || listen(&from_keys));
    let from_solver = send.clone();
    let emit = move |generation, part| {
        let _gone = from_solver.send(Incoming::Message(Message::Answer(generation, part)));
    };
    let solver = Solver::start(host, emit);
    Around { host, solver, send }.run(ask, look, &incoming)
}

/// What the loop hands effects to.
struct Around<'a> {
    host: &'a Arc<dyn Host + Send + Sync>,
    solver: Solver,
    send: Sender<Incoming>,
}

impl Around<'_> {
    fn run(&self, ask: Ask, look: Look, incoming: &Receiver<Incoming>) -> io::Result<End> {
        let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        let menu = self.host.menu().clone();
        let (mut model, effects) = Model::new(ask, menu, look, size()?, self.host.measured());
        let mut goes_on = self.all(effects, &mut model)?;
        while goes_on {
            draw(&mut terminal, &mut model)?;
            let Ok(first) = incoming.recv() else { break };
            // Whatever has come meanwhile is taken before the next frame, so keys never queue.
            for next in std::iter::once(first).chain(incoming.try_iter()) {
                let Incoming::Message(message) = next else { return Ok(End::Signalled) };
                let effects = update(&mut model, message);
                goes_on = goes_on && self.all(effects, &mut model)?;
            }
        }
        Ok(End::Left)
    }

    /// Does what the model wants; `false` ends it.
    fn all(&self, effects: Vec<Effect>, model: &mut Model) -> io::Result<bool> {
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(false),
                Effect::Solve(job) => self.solver.submit(*job),
                Effect::Save(plan, path) => {
                    update(model, Message::Saved(self.host.save(&plan, &path)));
                }
                Effect::Export(page) => self.export(*page),
                Effect::Copy(ask) => {
                    let command = self.host.command(&ask);
                    copy(&command)?;
                    update(model, Message::Copied(command));
                }
                Effect::Execute(plan) => self.execute(*plan),
            }
        }
        Ok(true)
    }

    fn export(&self, page: Page) {
        let (host, send) = (Arc::clone(self.host), self.send.clone());
        thread::spawn(move || {
            let _gone = send.send(Incoming::Message(Message::Exported(host.export(&page))));
        });
    }

    fn execute(&self, plan: Plan) {
        let (host, send) = (Arc::clone(self.host), Mutex::new(self.send.clone()));
        thread::spawn(move || {
            let tell = |event| {
                if let Ok(send) = send.lock() {
                    let _gone = send.send(Incoming::Message(Message::Run(event)));
                }
            };
            let ended = host.execute(&plan, &|step| tell(RunEvent::Step(step)));
            tell(RunEvent::Ended(ended));
        });
    }
}

fn draw(terminal: &mut Terminal<CrosstermBackend<Stdout>>, model: &mut Model) -> io::Result<()> {
    terminal.draw(|frame| {
        let area = frame.area();
        model.size = (area.width, area.height);
        view::draw(model, frame.buffer_mut());
    })?;
    Ok(())
}

/// Keys, clicks and sizes, as long as somebody listens.
fn listen(send: &Sender<Incoming>) {
    while let Ok(event) = event::read() {
        let Some(message) = message(&event) else { continue };
        if send.send(Incoming::Message(message)).is_err() {
            return;
        }
    }
    let _gone = send.send(Incoming::Signal);
}

fn message(event: &Event) -> Option<Message> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key_of(key).map(Message::Key),
        Event::Mouse(mouse) => match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) => {
                Some(Message::Click(mouse.column, mouse.row))
            }
            MouseEventKind::ScrollDown => Some(Message::Wheel(true)),
            MouseEventKind::ScrollUp => Some(Message::Wheel(false)),
            _ => None,
        },
        Event::Resize(columns, rows) => Some(Message::Resize(*columns, *rows)),
        _ => None,
    }
}

fn key_of(key: &KeyEvent) -> Option<Key> {
    let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char(c) if has_control => Some(Key::Ctrl(c.to_ascii_lowercase())),
        KeyCode::Char(c) => Some(Key::Char(c)),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc => Some(Key::Esc),
        KeyCode::Tab => Some(Key::Tab),
        KeyCode::BackTab => Some(Key::BackTab),
        KeyCode::Backspace => Some(Key::Backspace),
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::Left => Some(Key::Left),
        KeyCode::Right => Some(Key::Right),
        KeyCode::Home => Some(Key::Home),
        KeyCode::End => Some(Key::End),
        KeyCode::PageUp => Some(Key::PageUp),
        KeyCode::PageDown => Some(Key::PageDown),
        _ => None,
    }
}

/// Asks the terminal to put a text on the clipboard (OSC 52); it works over ssh, where the terminal
/// lets it.
fn copy(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    write!(out, "\x1b]52;c;{}\x07", base64(text.as_bytes()))?;
    out.flush()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let of = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = of(0) << 16 | of(1) << 8 | of(2);
        for digit in 0..4 {
            let shift = 18 - 6 * digit;
            let place = (bits >> shift & 63) as usize;
            let is_there = digit <= chunk.len();
            text.push(if is_there { char::from(DIGITS[place]) } else { '=' });
        }
    }
    text
}

/// The terminal, until it is dropped.
struct Taken;

impl Taken {
    fn new() -> io::Result<Self> {
        enable_raw_mode()?;
        let taken = Self;
        IS_TAKEN.store(true, Ordering::SeqCst);
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
        execute!(io::stdout(), EnterAlternateScreen, EnableMouseCapture, Hide)?;
        Ok(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, once. A terminal that is gone needs nothing.
fn give_back() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        let _gone = execute!(io::stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
        let _gone = disable_raw_mode();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipboards_take_base64() {
        // The test vectors of RFC 4648, section 10.
        let known =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (text, expected) in known {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    }

    #[test]
    fn keys_of_the_terminal_are_keys() {
        let press = |code, modifiers| key_of(&KeyEvent::new(code, modifiers));
        assert_eq!(press(KeyCode::Char('D'), KeyModifiers::CONTROL), Some(Key::Ctrl('d')));
        assert_eq!(press(KeyCode::Char('?'), KeyModifiers::SHIFT), Some(Key::Char('?')));
        assert_eq!(press(KeyCode::F(1), KeyModifiers::NONE), None);
    }
}
