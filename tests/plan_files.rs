//! Plan files from the first write to every command that reads them.

#![cfg(unix)]

mod common;

use common::Folder;
use std::fs;
use std::path::{Path, PathBuf};

impl Folder {
    /// What a command says, on both streams, when it ends with `code`.
    fn said(&self, line: &str, code: i32) -> String {
        let output = self.run(line);
        let said =
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}\n{said}");
        said
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

fn assert_contains(said: &str, all: &[&str]) {
    for part in all {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
}

#[test]
fn the_same_question_writes_the_same_bytes() {
    let folder = Folder::new("bytes");
    folder.said("plan -g 192 -m mlstm4096 -o a.json", 0);
    folder.said("plan -g 192 -m mlstm4096 -o b.json -q", 0);
    let printed = folder.run("plan -g 192 -m mlstm4096 -o -");
    assert_eq!(folder.text("a.json"), folder.text("b.json"));
    assert_eq!(folder.text("a.json"), String::from_utf8(printed.stdout).unwrap());
    assert!(folder.text("a.json").contains("\"schema\": \"meshwright.plan/2\""));
    let quiet = folder.run("plan -g 192 -m mlstm4096 -o b.json -q");
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty());
}

#[test]
fn a_plan_file_is_explained() {
    let folder = Folder::new("explain");
    let said = folder.said("plan -g 192 -m mlstm4096 -o plan.json", 0);
    assert_contains(&said, &["Saved as plan.json", "meshwright explain plan.json"]);
    let tree = folder.said("explain plan.json --ids", 0);
    assert_contains(&tree, &["step ", "├─ forward, backward", "pipeline bubble", "compute"]);
    let branch = folder.said("explain plan.json --path step/gradients --ascii", 0);
    assert!(branch.starts_with("gradients") && branch.is_ascii(), "{branch}");
    let lost = folder.said("explain plan.json --path step/gradient", 2);
    assert_contains(&lost, &["no part `step/gradient`"]);
    let why_not = folder.said("explain plan.json --why-not tp=2", 0);
    assert_contains(&why_not, &["Why not --tp 2?", "% slower", "tensor parallel"]);
    let binds = folder.said("explain plan.json --binds", 0);
    assert_contains(&binds, &["What binds", "+1 GiB per GPU", "2 × bandwidth between nodes"]);
    let json = folder.run("explain plan.json --json");
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let plan: serde_json::Value = serde_json::from_str(&folder.text("plan.json")).unwrap();
    assert_eq!(report["plan"]["decision"], plan["decision"]);
    assert_eq!(report["plan"]["id"], plan["id"]);
}

#[test]
fn plan_files_are_compared() {
    let folder = Folder::new("compare");
    folder.said("plan -g 192 -m mlstm4096 --tp 1 -o a.json -q", 0);
    folder.said("plan -g 192 -m mlstm4096 --tp 2 -o b.json -q", 0);
    let said = folder.said("compare a.json b.json", 0);
    assert_contains(&said, &["192·1·1", "96·2·1", "a.json is 0.9", "faster with a probability of"]);
    folder.said("compare a.json b.json --exit-code", 1);
    let same = folder.said("compare a.json a.json --exit-code", 0);
    assert_contains(&same, &["are the same plan"]);
}

#[test]
fn plan_files_are_validated_against_their_inputs() {
    let folder = Folder::new("validate");
    folder.said("plan -g 192 -m mlstm4096 --tp 1 -o plan.json -q", 0);
    let said = folder.said("validate plan.json", 0);
    assert_contains(&said, &["ok", "inputs unchanged", "nothing faster in"]);
    let text = folder.text("plan.json");
    let edited = |name: &str, from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        fs::write(folder.path(name), text.replacen(from, to, 1)).unwrap();
    };
    edited("key.json", "\"made_by\"", "\"madeby\"");
    assert_contains(
        &folder.said("validate key.json", 3),
        &["did you mean `made_by`?", "key.json:"],
    );
    edited("ranks.json", "\"world_size\": 192", "\"world_size\": 191");
    assert_contains(&folder.said("validate ranks.json", 3), &["192 × 1 × 1 × 1, not 191 ranks"]);
    edited("nan.json", "\"world_size\": 192", "\"world_size\": NaN");
    assert_contains(&folder.said("explain nan.json", 3), &["nan.json:"]);
    edited("huge.json", "\"world_size\": 192", "\"world_size\": 1e999");
    assert_contains(&folder.said("compare huge.json plan.json", 3), &["number out of range"]);
    fs::write(folder.path("half.json"), &text[..text.len() / 2]).unwrap();
    assert_contains(&folder.said("explain half.json", 3), &["the file ends too early"]);
}

/// A model that changes under a plan is noticed, with both fingerprints.
#[test]
fn a_plan_of_other_inputs_is_refused() {
    let folder = Folder::new("changed");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/models/mlstm4096.toml");
    let model = fs::read_to_string(shipped).unwrap();
    fs::write(folder.path("own.toml"), model.replace("\"mlstm4096\"", "\"own\"")).unwrap();
    folder.said("plan -g 8 -m ./own.toml -o plan.json -q", 0);
    let unknown = folder.said("explain plan.json", 2);
    assert_contains(&unknown, &["no model named `own`", "--model-file names its file"]);
    folder.said("explain plan.json --model-file ./own.toml", 0);
    let other = folder.said("explain plan.json --model-file mlstm4096", 3);
    assert_contains(&other, &["was made from other inputs", "model", "own ("]);
}

/// Llama 2 70B on 24 nodes splits every way there is; GPT-3 175B on one node has no plan.
#[test]
fn larger_models_are_planned_or_refused_with_ways_out() {
    let folder = Folder::new("large");
    let said = folder.said("plan -g 192 -m llama2-70b -c hgx-h100 --width 100", 0);
    assert_contains(&said, &["Memory per stage", "stage 0", "pipeline bubble", "Proven best"]);
    assert!(said.lines().all(|line| line.chars().count() <= 100), "{said}");
    let said = folder.said("plan -g 8 -m gpt3-175b -c hgx-h100", 1);
    assert_contains(&said, &["error: gpt3-175b does not fit on 8 ×", "What would make it fit"]);
    assert_contains(&said, &["--gpus ", "training state"]);
}

#[test]
fn a_plan_for_this_machine_is_trained_and_goes_on() {
    let folder = Folder::new("execute");
    folder.said("plan -m mlstm-tiny -g 1 -c local --global-batch 4 -o plan.json -q", 0);
    let first = folder.said("execute plan.json --steps 2 --save state.safetensors", 0);
    assert_contains(&first, &["in 2 steps", "saved to state.safetensors"]);
    let next = folder.said("execute plan.json --steps 1 --resume state.safetensors --json", 0);
    assert_contains(&next, &["\"step\": 2", "meshwright.execute/1"]);
    folder.said("plan -g 192 -m mlstm4096 -o other.json -q", 0);
    let refused = folder.said("execute other.json", 1);
    assert_contains(&refused, &["192 GPUs of dgx1v", "missing: 192 × V100", "-c local"]);
    let ranks = folder.said("execute other.json --dry-run", 0);
    assert_contains(&ranks, &["0 – 191", "0 – 23", "Launch: not yet"]);
    // Every command that a refusal names works, but for those that take long.
    let named = refused.lines().filter_map(|line| line.strip_prefix("hint: meshwright "));
    let named: Vec<&str> = named.filter_map(|line| line.split("   ").next()).collect();
    assert!(named.len() >= 3, "{refused}");
    for command in named.iter().filter(|c| !c.contains("--slice")) {
        folder.said(command, 0);
    }
}

/// The loop: a run is recorded, held against its prediction, fitted, and the next plan uses it.
#[test]
fn what_is_measured_makes_the_next_plan() {
    let folder = Folder::new("loop");
    let plan = "plan -m mlstm-tiny -g 2 -c local --dp 2 --zero 0 --embedding dense --local-batch 4";
    folder.said(&format!("{plan} -o plan.json -q"), 0);
    let ran = folder.said("execute plan.json --steps 4 --record run.json", 0);
    assert_contains(&ran, &["in 4 steps", "wrote run.json"]);
    let again = folder.said("execute plan.json --steps 2 --record two.json --profile serial", 0);
    assert_contains(&again, &["in 2 steps"]);
    let analysis = folder.said("explain plan.json --analyze run.json", 0);
    let terms = ["forward, mLSTM layer", "form ", "cost ", "others ", "structure ", "closed form"];
    assert_contains(&analysis, &terms);
    let page = folder.said("export plan.json --to html --record run.json", 0);
    assert_contains(&page, &["Measured in run.json", "id=\"pipeline\"", "measured: "]);
    let lowered = "\"program\": \"";
    let record = fs::read_to_string(folder.0.join("run.json")).expect("a record");
    let other = record.replacen(lowered, &format!("{lowered}0"), 1);
    assert_ne!(other, record);
    fs::write(folder.0.join("older.json"), other).expect("written");
    for command in ["explain plan.json --analyze", "export plan.json --to html --record"] {
        let refused = folder.said(&format!("{command} older.json"), 3);
        assert_contains(&refused, &["older.json records another program of plan", "run it again"]);
    }
    let fitted = folder.said("calibrate --from run.json two.json -o meshwright.cal.json", 0);
    assert_contains(&fitted, &["optimizer.adam", "wrote meshwright.cal.json", "whole steps"]);
    let next = folder.said(&format!("{plan} -o next.json"), 0);
    assert_contains(&next, &["meshwright.cal.json", "MESHWRIGHT_CALIBRATION=off"]);
    folder.said("explain next.json", 0);
    let other = folder.said("explain next.json --analyze run.json", 3);
    assert_contains(&other, &["run.json records plan"]);
    let other = folder.said("export next.json --to html --record run.json", 3);
    assert_contains(&other, &["run.json records plan"]);
}

/// A rank of a plan for 4 GPUs of another machine, alone.
#[test]
fn a_slice_of_a_plan_for_elsewhere_runs_here() {
    let folder = Folder::new("slice");
    let plan = "plan -m mlstm-tiny -g 4 -c dgx1v --dp 4 --zero 0 --embedding dense --local-batch 2";
    folder.said(&format!("{plan} -o far.json -q"), 0);
    let said = folder.said("execute far.json --slice rank=3 --steps 2", 0);
    assert_contains(&said, &["on dgx1v, predicted", "forward, mLSTM layer", "the priced network"]);
    let beyond = folder.said("execute far.json --slice rank=4", 2);
    assert_contains(&beyond, &["ranks 0 to 3"]);
}
