//! Help on commands and topics.

use crate::cli;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::settings::Settings;
use plan::suggest::closest;
use std::fmt::Write as _;

const TOPICS: [&str; 4] = ["config", "environment", "exit-codes", "schemas"];

const CONFIG: &str = "\
meshwright.toml is looked for from the working folder upward to the root of the repository, then
$XDG_CONFIG_HOME/meshwright/config.toml (or ~/.config/meshwright/config.toml). A flag wins over a
variable, a variable over a file, the nearer file over the farther one.

A file sets how things look and which cluster is meant, never a physical constant:

  schema  = 1
  cluster = \"dgx1v\"
  format  = \"human\"        # human, plain, json, markdown, csv
  color   = \"auto\"         # auto, always, never
  ascii   = false
  width   = 100            # 40 to 400 columns

--config FILE reads that file instead, --no-config reads none. `meshwright doctor` shows what
applies and where it came from.
";

const ENVIRONMENT: &str = "\
Every flag --some-flag can be given as MESHWRIGHT_SOME_FLAG, except --output.

  MESHWRIGHT_CALIBRATION the constants of this machine, as `calibrate` writes them; `off` plans
                         without; default: meshwright.cal.json here, else local.cal.json in the
                         user's configuration folder
  MESHWRIGHT_SCENARIOS   a folder with models/, clusters/, devices/, profiles/ and corpora/ of
                         your own; it comes before what is shipped
  NO_COLOR               no colours
  CLICOLOR_FORCE         colours also into pipes
  TERM=dumb              no colours
";

/// Shows help.
pub fn run(topic: &[String], settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let words: Vec<&str> = topic.iter().map(String::as_str).collect();
    let text = match words.as_slice() {
        [] => cli::command().render_long_help().to_string(),
        ["schemas", name] => schema(name)?,
        [topic] if TOPICS.contains(topic) => topic_text(topic),
        path => command_help(path)?,
    };
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

/// The text of a topic.
pub fn topic_text(topic: &str) -> String {
    match topic {
        "exit-codes" => exit_codes(),
        "environment" => ENVIRONMENT.to_string(),
        "schemas" => schemas(),
        _ => CONFIG.to_string(),
    }
}

fn exit_codes() -> String {
    Exit::ALL.iter().fold(String::new(), |mut text, exit| {
        let _infallible = writeln!(text, "{:>4}   {}", exit.code(), exit.meaning());
        text
    })
}

fn schemas() -> String {
    let mut text = String::from(
        "Files and answers for programs carry `schema`; within a version, keys are only added.\n\n",
    );
    for (name, what, _) in crate::schemas::ALL {
        let _infallible = writeln!(text, "  {name:<14} {what}");
    }
    text + "\n`meshwright help schemas NAME` prints one.\n"
}

fn schema(name: &str) -> Result<String, Failure> {
    let found = crate::schemas::ALL.iter().find(|(known, _, _)| *known == name);
    match found {
        Some((_, _, schema)) => Ok(crate::render::json::document(&schema())),
        None => {
            let names = crate::schemas::ALL.iter().map(|(known, _, _)| *known);
            Err(Failure::usage(format!("no schema named `{name}`"))
                .did_you_mean(closest(name, names))
                .hint("`meshwright help schemas` lists them"))
        }
    }
}

fn command_help(path: &[&str]) -> Result<String, Failure> {
    let mut command = cli::command();
    command.build();
    for word in path {
        let names: Vec<String> =
            command.get_subcommands().map(|c| c.get_name().to_string()).collect();
        command = match command.find_subcommand(word) {
            Some(found) => found.clone(),
            None => {
                let known = names.iter().map(String::as_str).chain(TOPICS);
                return Err(Failure::usage(format!("no help on `{}`", path.join(" ")))
                    .did_you_mean(closest(word, known))
                    .hint(format!("topics: {}", TOPICS.join(", ")))
                    .hint("`meshwright help` lists the commands"));
            }
        };
    }
    Ok(command.render_long_help().to_string())
}
