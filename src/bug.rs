//! A panic is our bug, never the user's: say so, leave a report, exit with 70.

use crate::exit::Exit;
use std::backtrace::Backtrace;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::path::PathBuf;

/// Replaces the default panic message.
pub fn install() {
    std::panic::set_hook(Box::new(|info| {
        let what = message(info);
        let place = info.location().map_or_else(String::new, |at| format!("\nat {at}"));
        let report = report(&what, &place);
        let path = write_report(&report);
        let _unheard = io::stderr().lock().write_all(screen(&what, path).as_bytes());
        std::process::exit(Exit::Bug.code().into());
    }));
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".to_string())
}

fn screen(what: &str, report: Option<PathBuf>) -> String {
    let mut text = format!("internal error: {what}. This is a bug in meshwright.\n");
    if let Some(path) = report {
        text += &format!("\nhint: please attach {} to a bug report\n", path.display());
    }
    text
}

fn report(what: &str, place: &str) -> String {
    let arguments: Vec<String> =
        std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    format!(
        "meshwright {}\n{} {}\n\n{what}{place}\n\narguments: {arguments:?}\n\n{}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        Backtrace::force_capture(),
    )
}

/// The report goes to the temporary folder; without one the message has to do.
fn write_report(report: &str) -> Option<PathBuf> {
    let name = format!("meshwright-bug-{}.txt", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut file = std::fs::File::create_new(&path).ok()?;
    file.write_all(report.as_bytes()).ok()?;
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const CHILD: &str = "MESHWRIGHT_TEST_PANICS";

    /// Runs itself as a child that panics, since the hook ends the process.
    #[test]
    fn a_panic_says_bug_leaves_a_report_and_exits_70() {
        if std::env::var_os(CHILD).is_some() {
            install();
            panic!("MFU 104 % exceeds 100 % in stage 0");
        }
        let folder = std::env::temp_dir().join(format!("meshwright-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let name = "bug::tests::a_panic_says_bug_leaves_a_report_and_exits_70";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .env("TMPDIR", &folder)
            .output()
            .unwrap();
        let stderr = String::from_utf8(child.stderr).unwrap();
        let reports: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
        let report = std::fs::read_to_string(reports[0].as_ref().unwrap().path()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(child.status.code(), Some(70), "{stderr}");
        let first = "internal error: MFU 104 % exceeds 100 % in stage 0. \
                     This is a bug in meshwright.\n";
        assert!(stderr.contains(first), "{stderr}");
        assert!(report.contains("MFU 104 %") && report.contains("src/bug.rs"), "{report}");
    }
}
