//! Messages about what went wrong: one line, the evidence, ways out, hints last.

mod snippet;

pub use snippet::{FileProblem, Snippets};

use crate::exit::Exit;
use crate::style::{Canvas, Role};
use plan::scenario::Problems;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io;

/// A failure, complete for the person who reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    exit: Exit,
    headline: String,
    blocks: Vec<Block>,
    hints: Vec<String>,
    is_closed_pipe: bool,
}

/// What stands between headline and hints.
#[derive(Clone, Debug, PartialEq)]
enum Block {
    /// Lines that prove the headline.
    Evidence(String),
    /// What to keep, and the flags that keep it.
    WaysOut(Vec<(String, String)>),
    /// Places in a file.
    Snippets(Snippets),
}

impl Failure {
    /// A failure with its one line: lower case, no period.
    pub fn new(exit: Exit, headline: impl Into<String>) -> Self {
        let headline = headline.into();
        Self { exit, headline, blocks: Vec::new(), hints: Vec::new(), is_closed_pipe: false }
    }

    /// A failure of the command line.
    pub fn usage(headline: impl Into<String>) -> Self {
        Self::new(Exit::Usage, headline)
    }

    /// A failure to write to stdout; a pipe that was closed is not worth a word.
    pub fn stdout(error: &io::Error) -> Self {
        let mut failure = Self::new(Exit::Failed, format!("cannot write to stdout: {error}"));
        failure.is_closed_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        failure
    }

    /// All problems of one file.
    pub fn file(name: &str, text: &str, problems: Vec<FileProblem>) -> Self {
        let headline = match problems.len() {
            1 => format!("{name} has a problem"),
            n => format!("{name} has {n} problems"),
        };
        let mut failure = Self::new(Exit::InvalidInput, headline);
        failure.blocks.push(Block::Snippets(Snippets::new(name, text, problems)));
        failure
    }

    /// All problems of a scenario or configuration file.
    pub fn scenario(name: &str, text: &str, problems: Problems) -> Self {
        let problems = problems.list.into_iter().map(|problem| FileProblem {
            span: problem.span,
            message: problem.label,
            hint: problem.hint,
        });
        Self::file(name, text, problems.collect())
    }

    /// Adds lines that prove the headline.
    #[must_use]
    pub fn evidence(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Evidence(text.into()));
        self
    }

    /// Adds ways out: what to keep, and the flags that keep it.
    #[must_use]
    pub fn ways_out(mut self, ways: Vec<(String, String)>) -> Self {
        self.blocks.push(Block::WaysOut(ways));
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds a hint with the name that was probably meant.
    #[must_use]
    pub fn did_you_mean(self, suggestion: Option<&str>) -> Self {
        match suggestion {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// The one line that says what is wrong.
    pub fn headline(&self) -> &str {
        &self.headline
    }

    /// How many problems it reports: one, unless it is about the places of a file.
    pub fn problem_count(&self) -> usize {
        let places = self.blocks.iter().map(|block| match block {
            Block::Snippets(snippets) => snippets.count(),
            _ => 0,
        });
        places.sum::<usize>().max(1)
    }

    /// The problems for programs: with line and column where they are about a file.
    pub fn problems_json(&self) -> Vec<Value> {
        let places = self.blocks.iter().filter_map(|block| match block {
            Block::Snippets(snippets) => Some(snippets.json()),
            _ => None,
        });
        let all: Vec<Value> = places.flatten().collect();
        if all.is_empty() { vec![json!({"message": self.headline})] } else { all }
    }

    /// How the program ends.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether the reader of stdout has gone away.
    pub fn is_closed_pipe(&self) -> bool {
        self.is_closed_pipe
    }

    /// The message.
    pub fn render(&self, canvas: &Canvas) -> String {
        let mut text = format!("{} {}\n", canvas.paint(Role::Bad, "error:"), self.headline);
        for block in &self.blocks {
            text.push('\n');
            match block {
                Block::Evidence(lines) => indent(&mut text, lines),
                Block::WaysOut(ways) => ways_out(&mut text, ways),
                Block::Snippets(snippets) => text.push_str(&snippets.render(canvas)),
            }
        }
        if !self.hints.is_empty() {
            text.push('\n');
        }
        for hint in &self.hints {
            let _infallible = writeln!(text, "{} {hint}", canvas.paint(Role::Accent, "hint:"));
        }
        text
    }
}

fn indent(text: &mut String, lines: &str) {
    for line in lines.lines() {
        let padding = if line.is_empty() { "" } else { "  " };
        let _infallible = writeln!(text, "{padding}{line}");
    }
}

fn ways_out(text: &mut String, ways: &[(String, String)]) {
    let width = ways.iter().map(|(keep, _)| keep.chars().count()).max().unwrap_or(0);
    let mut last = "";
    for (keep, flags) in ways {
        let label = if keep == last { "" } else { keep };
        let _infallible = writeln!(text, "  {label:width$}   {flags}");
        last = keep;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_headline_evidence_ways_out_and_hints_last() {
        let way = |keep: &str, flags: &str| (keep.to_string(), flags.to_string());
        let failure = Failure::usage("global batch 32768 does not divide over 192 ranks")
            .hint("see `meshwright help plan`")
            .evidence("32768 / 192 = 170.67 sequences per rank")
            .ways_out(vec![
                way("keep 192 GPUs", "--global-batch 32640   170 per rank"),
                way("keep 192 GPUs", "--global-batch 32832   171 per rank"),
                way("keep the batch", "--gpus 128"),
            ]);
        let expected = "\
error: global batch 32768 does not divide over 192 ranks

  32768 / 192 = 170.67 sequences per rank

  keep 192 GPUs    --global-batch 32640   170 per rank
                   --global-batch 32832   171 per rank
  keep the batch   --gpus 128

hint: see `meshwright help plan`
";
        assert_eq!(failure.render(&Canvas::PLAIN), expected);
    }

    #[test]
    fn only_a_closed_pipe_is_silent() {
        assert!(Failure::stdout(&io::ErrorKind::BrokenPipe.into()).is_closed_pipe());
        assert!(!Failure::stdout(&io::ErrorKind::StorageFull.into()).is_closed_pipe());
    }
}
