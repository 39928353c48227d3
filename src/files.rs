//! Reading and writing files, with messages for people.

use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::output::Output;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

/// The largest file that is read whole: scenarios and plans are far smaller.
const MAX_BYTES: u64 = 256 << 20;

/// Reads a whole text file; `-` is stdin.
///
/// # Errors
/// Says which file, and what is wrong with it.
pub fn read(path: &str) -> Result<String, Failure> {
    let bytes = if path == "-" { read_all(io::stdin().lock()) } else { open_and_read(path) };
    let bytes = bytes.map_err(|error| unreadable(path, &error))?;
    let name = shown(path);
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::new(Exit::InvalidInput, format!("{name} is larger than 256 MiB")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::new(Exit::InvalidInput, format!("{name} is not UTF-8 text"))
            .evidence(format!("the first byte that is not is at offset {at}"))
    })
}

/// A path as people read it.
pub fn shown(path: &str) -> &str {
    if path == "-" { "standard input" } else { path }
}

fn open_and_read(path: &str) -> io::Result<Vec<u8>> {
    read_all(fs::File::open(path)?)
}

fn read_all(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The failure for a file that cannot be read.
pub fn unreadable(path: &str, error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_string(),
        io::ErrorKind::PermissionDenied => "permission denied".to_string(),
        io::ErrorKind::IsADirectory => "it is a folder".to_string(),
        _ => error.to_string(),
    };
    Failure::new(Exit::InvalidInput, format!("cannot read {}: {why}", shown(path)))
}

/// Writes data to a file, or to stdout for `None` and `-`.
///
/// A file appears whole or not at all: it is written beside its place and then renamed.
///
/// # Errors
/// Says which file, and what is wrong with it.
pub fn write(output: &mut Output, path: Option<&str>, text: &str) -> Result<(), Failure> {
    let Some(path) = path.filter(|p| *p != "-") else {
        return output.data(text);
    };
    write_quietly(output, path, text)?;
    output.note(&format!("wrote {path}"));
    Ok(())
}

/// Writes data like [`write()`], without a word about it: the screen says so itself.
///
/// # Errors
/// Says which file, and what is wrong with it.
pub fn write_quietly(output: &mut Output, path: &str, text: &str) -> Result<(), Failure> {
    match path {
        "-" => output.data(text),
        _ => save(path, text),
    }
}

/// Writes a file, with no output at hand.
///
/// # Errors
/// Says which file, and what is wrong with it.
pub fn save(path: &str, text: &str) -> Result<(), Failure> {
    write_whole(Path::new(path), text.as_bytes()).map_err(|error| unwritable(path, &error))
}

/// Whether something has this name.
pub fn is_there(path: &str) -> bool {
    Path::new(path).symlink_metadata().is_ok()
}

/// Writes a file where there is none.
///
/// # Errors
/// Says which file, and what is wrong with it; what was there stays as it was.
pub fn save_new(path: &str, text: &str) -> Result<(), Failure> {
    let opened = fs::OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = opened.map_err(|error| unwritable(path, &error))?;
    file.write_all(text.as_bytes()).map_err(|error| {
        let _already_gone = fs::remove_file(path);
        unwritable(path, &error)
    })
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What is not a plain file (/dev/null, a pipe, a link) keeps its place and its kind.
    if path.symlink_metadata().is_ok_and(|m| !m.is_file()) {
        return fs::OpenOptions::new().write(true).truncate(true).open(path)?.write_all(bytes);
    }
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _already_gone = fs::remove_file(&beside);
    }
    written
}

fn unwritable(path: &str, error: &io::Error) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "its folder does not exist".to_string(),
        io::ErrorKind::PermissionDenied => "permission denied".to_string(),
        io::ErrorKind::IsADirectory => "it is a folder".to_string(),
        io::ErrorKind::AlreadyExists => "there is a file of this name, which stays".to_string(),
        _ => error.to_string(),
    };
    Failure::new(Exit::Failed, format!("cannot write {path}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays() {
        let name = format!("meshwright-new-{}.html", std::process::id());
        let path = std::env::temp_dir().join(name);
        let path = path.to_str().unwrap();
        assert!(!is_there(path) && save_new(path, "first").is_ok());
        let refused = save_new(path, "second").unwrap_err();
        let (is_there, text) = (is_there(path), fs::read_to_string(path).unwrap());
        fs::remove_file(path).unwrap();
        assert_eq!((is_there, text.as_str()), (true, "first"));
        assert!(refused.headline().ends_with("there is a file of this name, which stays"));
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = std::env::temp_dir().join(format!("meshwright-files-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("plan.json");
        write_whole(&path, b"old").unwrap();
        write_whole(&path, b"new").unwrap();
        let names: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        let text = fs::read_to_string(&path).unwrap();
        let missing = write_whole(&folder.join("no/plan.json"), b"x").unwrap_err();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((text.as_str(), names), ("new", vec!["plan.json".into()]));
        assert!(unwritable("p", &missing).render(&crate::style::Canvas::PLAIN).contains("folder"));
    }
}
