//! The README's console blocks are transcripts: every command is run, in order, in one folder, and
//! answers what is printed there. `MESHWRIGHT_BLESS=1 cargo test --test readme` rewrites them.

#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const OPEN: &str = "```console\n";
const CLOSE: &str = "```";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

/// Other documents with transcripts.
const DOCUMENTS: [&str; 1] = ["docs/explore.md"];

/// What a command prints, stdout before stderr.
fn answer(command: &str, folder: &Path) -> String {
    let arguments = command.strip_prefix("meshwright ").expect("a command of this binary");
    let output = Command::new(env!("CARGO_BIN_EXE_meshwright"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .env_clear()
        .output()
        .expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    text(output.stdout) + &text(output.stderr)
}

/// A block with the answers of today.
fn rerun(block: &str, folder: &Path) -> String {
    let commands = block.lines().filter_map(|line| line.strip_prefix("$ "));
    let transcripts = commands.map(|c| format!("$ {c}\n{}", answer(c, folder)));
    transcripts.collect::<Vec<_>>().join("\n")
}

fn rerun_all(readme: &str, folder: &Path) -> (String, usize) {
    let mut parts = readme.split(OPEN);
    let mut text = parts.next().unwrap_or_default().to_string();
    let mut blocks = 0;
    for part in parts {
        let (block, rest) = part.split_once(CLOSE).expect("every block is closed");
        text += &format!("{OPEN}{}{CLOSE}{rest}", rerun(block, folder));
        blocks += 1;
    }
    (text, blocks)
}

#[test]
fn every_command_answers_what_is_printed() {
    assert!(check(&path()) >= 3, "the README has console blocks");
}

#[test]
fn documents_print_what_their_commands_answer() {
    for document in DOCUMENTS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        assert!(check(&path) > 0, "{document} has no console block");
    }
}

/// Runs the console blocks of a document, or rewrites them; how many there are.
fn check(path: &Path) -> usize {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = format!("meshwright-{name}-{}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    fs::create_dir_all(&folder).unwrap();
    let printed = fs::read_to_string(path).unwrap();
    let (today, blocks) = rerun_all(&printed, &folder);
    fs::remove_dir_all(&folder).unwrap();
    if std::env::var_os("MESHWRIGHT_BLESS").is_some() {
        fs::write(path, &today).unwrap();
        return blocks;
    }
    let lines = printed.lines().zip(today.lines()).enumerate();
    let differs = lines.into_iter().find(|(_, (printed, now))| printed != now);
    if let Some((at, (printed, now))) = differs {
        panic!("{name}:{}\n  - {printed}\n  + {now}\nMESHWRIGHT_BLESS=1 rewrites it", at + 1);
    }
    assert_eq!(printed.len(), today.len(), "{name} ends differently");
    blocks
}

/// The tour prints times, which differ from run to run: each of its commands runs, in order, in one
/// folder, and says what the README says it is about.
#[test]
fn the_tour_runs() {
    const SAID: [&str; 5] =
        ["mlstm-tiny", "in 20 steps", "structure", "kinds of actions", "meshwright.cal.json"];
    let folder = std::env::temp_dir().join(format!("meshwright-tour-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let readme = fs::read_to_string(path()).unwrap();
    let tour = readme.split("## The loop\n").nth(1).expect("the README has the loop");
    let tour = tour.split("\n## ").next().unwrap_or_default();
    let commands: Vec<&str> = tour.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let answers: Vec<String> = commands.iter().map(|c| answer(c, &folder)).collect();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(commands.len(), SAID.len(), "{commands:?}");
    for ((command, answer), said) in commands.iter().zip(&answers).zip(SAID) {
        assert!(answer.contains(said) && !answer.contains("error:"), "{command}\n{answer}");
    }
}
