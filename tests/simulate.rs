//! `simulate` from the outside: its trace is what viewers expect, its numbers add up, its screen
//! fits.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_meshwright");

/// A folder of one test with a pipelined plan in it.
struct Plan {
    folder: PathBuf,
}

impl Plan {
    fn new(name: &str, arguments: &[&str]) -> Self {
        let folder =
            std::env::temp_dir().join(format!("meshwright-simulate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let plan = Self { folder };
        let mut all = vec!["plan", "-o", "plan.json"];
        all.extend(arguments);
        plan.run(&all);
        plan
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(BINARY);
        let output =
            command.args(arguments).current_dir(&self.folder).env_clear().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["simulate", "plan.json", "--json"];
        all.extend(arguments);
        serde_json::from_str(&self.run(&all)).unwrap()
    }

    fn file(&self, name: &str) -> Value {
        let text = std::fs::read_to_string(Path::new(&self.folder).join(name)).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        let _left_behind = std::fs::remove_dir_all(&self.folder);
    }
}

/// A GPT-2 in four stages on one node.
fn pipelined(name: &str) -> Plan {
    let arguments = ["-g", "8", "-m", "gpt2-large", "-c", "dgx-a100", "--pp", "4", "--tp", "2"];
    Plan::new(name, &arguments)
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The JSON trace format: complete events with `ts` and `dur` in microseconds, named threads,
/// arrows with two ends, counters.
#[test]
fn the_trace_is_one_that_viewers_open() {
    let plan = pipelined("trace");
    plan.run(&["simulate", "plan.json", "--trace", "step.json"]);
    let trace = plan.file("step.json");
    assert_eq!(trace["otherData"]["origin"], "simulated");
    let events = trace["traceEvents"].as_array().unwrap();
    let mut threads: BTreeMap<(u64, u64), f64> = BTreeMap::new();
    let mut named: BTreeMap<(u64, u64), String> = BTreeMap::new();
    let mut arrows: BTreeMap<String, [u32; 2]> = BTreeMap::new();
    let mut counters: BTreeMap<u64, f64> = BTreeMap::new();
    for event in events {
        let pid = event["pid"].as_u64().unwrap();
        let thread = || (pid, event["tid"].as_u64().unwrap());
        match event["ph"].as_str().unwrap() {
            "M" if event["name"] == "thread_name" => {
                named.insert(thread(), event["args"]["name"].to_string());
            }
            "M" => {}
            "X" => {
                let (ts, dur) = (number(&event["ts"]), number(&event["dur"]));
                let free = threads.entry(thread()).or_insert(0.0);
                assert!(dur > 0.0 && ts >= *free - 1e-6, "{event} begins before {free}");
                *free = ts + dur;
                assert!(named.contains_key(&thread()), "{event} is on a thread without a name");
                assert!(!event["name"].as_str().unwrap().is_empty());
                assert!(event["args"]["cause"].is_string());
            }
            "s" => arrows.entry(event["id"].to_string()).or_default()[0] += 1,
            "f" => arrows.entry(event["id"].to_string()).or_default()[1] += 1,
            "C" => {
                let last = counters.entry(pid).or_insert(0.0);
                assert!(number(&event["ts"]) >= *last);
                assert!(number(&event["args"]["live"]) >= 0.0);
                *last = number(&event["ts"]);
            }
            other => panic!("events of the kind {other} are not documented"),
        }
    }
    // Four stages: four ranks, each with a memory counter.
    assert_eq!(counters.len(), 4);
    assert!(!arrows.is_empty() && arrows.values().all(|ends| *ends == [1, 1]));
}

#[test]
fn numbers_of_the_answer_add_up() {
    let plan = pipelined("numbers");
    let answer = plan.json(&["--jitter", "1%", "--rank-jitter", "0.2%", "--steps", "20"]);
    let step = number(&answer["seconds"]);
    for rank in answer["ranks"].as_array().unwrap() {
        let time = rank["time"].as_object().unwrap();
        let parts = time.iter().filter(|(key, _)| *key != "exposed").map(|(_, part)| number(part));
        let exposed = time["exposed"].as_array().unwrap().iter().map(|e| number(&e["seconds"]));
        let sum: f64 = parts.chain(exposed).sum();
        assert!((sum / step - 1.0).abs() < 1e-9, "{sum} against {step}");
        assert!(number(&rank["peak_bytes"]) <= number(&rank["arena_bytes"]) * (1.0 + 1e-9));
    }
    let difference = step / number(&answer["closed_form_seconds"]) - 1.0;
    assert!((difference - number(&answer["difference"])).abs() < 1e-12);
    assert!(number(&answer["jitter"]["p95_seconds"]) > number(&answer["jitter"]["median_seconds"]));
    let again = plan.json(&["--jitter", "1%", "--rank-jitter", "0.2%", "--steps", "20"]);
    assert_eq!(answer, again);
}

#[test]
fn other_circumstances_are_slower() {
    let plan = Plan::new("what-if", &["-g", "16", "-m", "gpt2-xl", "-c", "dgx-a100"]);
    let changes =
        ["--what-if", "link=10GbE", "--what-if", "straggler=3:1.2", "--what-if", "hop=1ms"];
    let answer = plan.json(&changes);
    let slower: Vec<f64> =
        answer["what_if"].as_array().unwrap().iter().map(|w| number(&w["slower"])).collect();
    assert_eq!(slower.len(), 3);
    assert!(slower.iter().all(|s| *s > 0.0), "{slower:?}");
    // Computation is all of a rank's time at most.
    assert!(slower[1] < 0.2 + 1e-9);
    let failures = plan.json(&["--mtbf", "50000h", "--checkpoint", "30s", "--restart", "5min"]);
    let goodput = number(&failures["failures"]["goodput"]);
    assert!(goodput > 0.9 && goodput < 1.0, "{goodput}");
}

#[test]
fn the_screen_fits() {
    let plan = pipelined("screen");
    for arguments in [&["--width", "80"][..], &["--width", "80", "--ascii"]] {
        let mut all = vec!["simulate", "plan.json", "--color", "never"];
        all.extend(arguments);
        let text = plan.run(&all);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(text.contains("rank 0") && text.contains("by closed form"));
        assert_eq!(arguments.len() == 3, text.is_ascii());
    }
}
