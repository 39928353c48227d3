//! Figures byte by byte, and the page in a browser.
//!
//! `tests/figures/*.svg` are what `export --to svg` and `plan --svg` draw; `MESHWRIGHT_BLESS=1
//! cargo test --test figures` rewrites them. Where Chromium is installed, the page is opened in it,
//! light and dark, as wide as a phone; elsewhere the test says that it did not look, and checks
//! what can be read.

#![cfg(unix)]

mod common;

use common::Folder;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a command prints that succeeds.
fn printed(folder: &Folder, arguments: &str) -> String {
    let output = folder.run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {said}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn figures_are_the_same_to_the_byte() {
    let folder = Folder::new("figures");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/figures");
    printed(&folder, "plan -m mlstm4096 -g 32 -q -o plan.json");
    let mut changed = Vec::new();
    printed(&folder, "plan -m llama2-7b -g 8,16,64 -c hgx-h100,dgx-a100,dgx1v --svg cost.svg");
    for figure in ["time", "memory", "communication", "pipeline", "candidates", "cost"] {
        let svg = match figure {
            "cost" => fs::read_to_string(folder.0.join("cost.svg")).expect("a figure"),
            _ => printed(&folder, &format!("export plan.json --to svg --figure {figure}")),
        };
        let path = golden.join(format!("{figure}.svg"));
        if std::env::var_os("MESHWRIGHT_BLESS").is_some() {
            fs::write(&path, &svg).expect("written");
        } else if fs::read_to_string(&path).unwrap_or_default() != svg {
            changed.push(figure);
        }
    }
    assert!(changed.is_empty(), "{changed:?} changed; look at them, then bless");
}

/// Asks the page inside a frame: MARK, then widths, schemes, requests.
const HARNESS: &str = r#"<!doctype html><body><iframe id="f" width="390" height="900"></iframe>
<script>
const text = TEXT, frame = document.getElementById("f");
frame.srcdoc = text;
frame.onload = () => {
  const page = frame.contentDocument, w = frame.contentWindow, all = page.documentElement;
  const shown = [...page.querySelectorAll("svg")].filter(s => s.getClientRects().length);
  const data = JSON.parse(page.getElementById("report-data").textContent);
  document.body.innerHTML = "<p>MARK " + JSON.stringify({
    overflow: all.scrollWidth - all.clientWidth,
    narrow: shown.length > 0 && shown.every(s => s.classList.contains("narrow")),
    named: [...page.querySelectorAll("svg")].every(s => s.querySelector("title,desc")),
    dark: w.matchMedia("(prefers-color-scheme: dark)").matches,
    sheet: w.getComputedStyle(page.body).backgroundColor,
    requests: w.performance.getEntriesByType("resource").length,
    schema: data.schema,
  }) + "</p>";
};
</script></body>"#;

/// The answer of the page in one colour scheme, and what the browser's console said.
fn ask(browser: &Path, folder: &Folder, scheme: u8) -> (serde_json::Value, String) {
    let mut command = Command::new(browser);
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"])
        .args(["--disable-background-networking", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .arg(format!("--user-data-dir={}", folder.0.join("profile").display()))
        .arg(format!("file://{}", folder.0.join("harness.html").display()));
    let output = command.stdin(Stdio::null()).output().expect("the browser runs");
    let (page, said) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let answer = page.split_once("MARK ").and_then(|(_, rest)| rest.split_once("</p>"));
    let Some((answer, _)) = answer else { panic!("no answer: {page}\n{said}") };
    let console: Vec<&str> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    (serde_json::from_str(answer).expect("JSON"), console.join("\n"))
}

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut all = std::env::split_paths(&path).flat_map(|f| names.map(|name| f.join(name)));
    all.find(|file| file.is_file())
}

#[test]
fn the_page_is_whole_in_a_browser() {
    let folder = Folder::new("page");
    printed(&folder, "plan -m llama2-7b -g 16 --pp 4 --tp 2 --micro-batch 4 -q -o plan.json");
    printed(&folder, "export plan.json --to html -o page.html");
    let html = fs::read_to_string(folder.0.join("page.html")).expect("a page");
    assert!(html.len() < 300_000, "{} bytes", html.len());
    // The name of SVG's vocabulary is no request.
    let rest = html.replace("http://www.w3.org/2000/svg", "");
    let figures = rest.split("<script").next().unwrap_or_default();
    assert!(!figures.contains("src=") && !figures.contains("url("), "something is loaded");
    for id in ["time", "memory", "exchange", "pipeline", "candidates"] {
        assert!(
            html.contains(
                &format!("<svg xmlns=\"\" id=\"{id}\"")
                    .replace("xmlns=\"\"", "xmlns=\"http://www.w3.org/2000/svg\"")
            )
        );
    }
    let Some(browser) = browser() else {
        // Cargo shows this with --nocapture; everything above was checked.
        println!("no browser was asked: neither chromium nor google-chrome is installed");
        return;
    };
    let text = serde_json::to_string(&html).expect("JSON").replace('<', "\\u003c");
    fs::write(folder.0.join("harness.html"), HARNESS.replace("TEXT", &text)).expect("written");
    let (light, said) = ask(&browser, &folder, 1);
    assert_eq!(said, "", "the console is silent");
    let (dark, said) = ask(&browser, &folder, 0);
    assert_eq!(said, "", "the console is silent");
    for answer in [&light, &dark] {
        assert_eq!(answer["overflow"], 0, "{answer}");
        assert_eq!(answer["narrow"], true, "{answer}");
        assert_eq!(answer["named"], true, "{answer}");
        assert_eq!(answer["requests"], 0, "{answer}");
        assert_eq!(answer["schema"], "meshwright.report/1", "{answer}");
    }
    assert_eq!((&light["dark"], &dark["dark"]), (&false.into(), &true.into()));
    assert_ne!(light["sheet"], dark["sheet"]);
}
