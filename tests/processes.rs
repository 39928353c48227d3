//! Ranks as processes: the same model as ranks that are threads, and a clean end when one dies.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const STEPS: &str = "3";

fn meshwright() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshwright"));
    for variable in ["RANK", "WORLD_SIZE", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK"] {
        command.env_remove(variable);
    }
    command.arg("--no-config");
    command
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn plan(folder: &Path) -> PathBuf {
    let path = folder.join("plan.json");
    let mut command = meshwright();
    command.args(["plan", "-m", "mlstm-tiny", "-g", "2", "-c", "local"]);
    command.args(["--global-batch", "4", "--seq", "16", "--quiet", "-o"]).arg(&path);
    assert!(command.status().unwrap().success());
    path
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A rank as torchrun would start it.
fn rank(rank: u32, port: u16, plan: &Path, more: &[&str]) -> Command {
    let mut command = meshwright();
    command.arg("execute").arg(plan).args(more);
    command.env("RANK", rank.to_string()).env("WORLD_SIZE", "2");
    command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
    command
}

/// The values of a checkpoint: what comes after its head.
fn values(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let head = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + head..].to_vec()
}

#[test]
fn processes_train_the_model_of_threads() {
    let folder = folder("processes-equal");
    let plan = plan(&folder);
    let train = |name: &str, command: &mut Command| {
        let path = folder.join(name);
        let command = command.arg("--save").arg(&path).stdout(Stdio::null());
        assert!(command.status().unwrap().success(), "{name}");
        values(&path)
    };
    let execute = |ranks: &str| {
        let mut command = meshwright();
        command.arg("execute").arg(&plan).args(["--steps", STEPS, "--quiet", "--ranks", ranks]);
        command
    };
    let threads = train("threads", &mut execute("threads"));
    assert!(threads == train("processes", &mut execute("processes")));
    let port = free_port();
    let mut other =
        rank(1, port, &plan, &["--steps", STEPS]).stderr(Stdio::piped()).spawn().unwrap();
    let launched = train("launched", &mut rank(0, port, &plan, &["--steps", STEPS, "--quiet"]));
    assert!(threads == launched);
    let mut words = String::new();
    other.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert!(other.wait().unwrap().success(), "{words}");
    assert_eq!(words, "", "rank 0 speaks for the run");
}

fn talking(rank: &mut Command) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut child = rank.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stream = child.stderr.take().unwrap();
    (child, BufReader::new(stream))
}

#[test]
fn a_killed_process_ends_all_with_one_message() {
    let folder = folder("processes-killed");
    let plan = plan(&folder);
    let port = free_port();
    let long = ["--steps", "1000000"];
    let (mut first, mut words) = talking(&mut rank(0, port, &plan, &long));
    let (mut second, _silent) = talking(&mut rank(1, port, &plan, &long));
    let mut line = String::new();
    while !line.starts_with("step ") {
        line.clear();
        assert!(words.read_line(&mut line).unwrap() > 0, "it ended too early");
    }
    // Signal 9 on Unix.
    second.kill().unwrap();
    let mut last = String::new();
    words.read_to_string(&mut last).unwrap();
    assert_eq!(first.wait().unwrap().code(), Some(4));
    let said = last.lines().find(|line| line.contains("error")).unwrap_or_default();
    assert!(said.contains("rank 0, in action") && said.contains("rank 1"), "{last}");
    assert_eq!(last.matches("error").count(), 1, "{last}");
    second.wait().unwrap();
}

#[test]
fn another_number_of_ranks_is_refused() {
    let folder = folder("processes-number");
    let plan = plan(&folder);
    let mut command = rank(0, free_port(), &plan, &[]);
    let output = command.env("WORLD_SIZE", "3").output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{words}");
    assert!(words.contains("torchrun started 3 ranks") && words.contains("is for 2"), "{words}");
}
