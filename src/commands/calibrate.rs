//! `calibrate`: constants from data. `--corpus`: how many different tokens a batch of a text holds;
//! `--published`: constants of stacks; `--intervals`: how far measured steps lie from predictions;
//! `--node` and `--from`: constants of this machine.

mod from;
mod intervals;
mod machine;
mod node;
mod published;

use crate::catalog::Catalog;
use crate::cli::{CalibrateArgs, TokenKind};
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::machines::{self, Wanted};
use crate::output::Output;
use crate::progress::Progress;
use crate::render::number::grouped;
use crate::settings::Settings;
use cost_model::corpus::{Accumulator, FitError, Law, Tokenizer, Unit};
use plan::scenario::parse_corpus;
use plan::units::{percent, significant};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes that are read at a time: the text may be larger than memory.
const CHUNK: usize = 1 << 20;

/// Fits what the flags ask for.
pub fn run(
    flags: &CalibrateArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if flags.node {
        return node::run(settings, output);
    }
    if !flags.from.is_empty() {
        return from::run(&flags.from, settings, output);
    }
    if let Some(path) = &flags.nccl_log {
        return links(path, settings, output);
    }
    match (&flags.corpus, &flags.published) {
        (Some(path), _) => corpus(path, flags, settings, output),
        (None, Some(word)) => published::run(word, flags, settings, output),
        (None, None) => intervals::run(settings, output),
    }
}

/// Links as nccl-tests measured them, in a cluster file.
fn links(path: &str, settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let seen = machines::measured(&files::read(path)?).map_err(|what| {
        Failure::new(Exit::InvalidInput, format!("{}: {what}", files::shown(path)))
    })?;
    let catalog = Catalog::from_environment()?;
    super::scenarios::write_cluster(&catalog, &seen, &Wanted::default(), settings, output)
}

/// Fits the law of a text and writes it as a corpus file.
fn corpus(
    path: &str,
    flags: &CalibrateArgs,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let types = count(path, flags.tokens, output).map_err(|e| files::unreadable(path, &e))?;
    let fitted = Fitted::new(&types).map_err(|error| too_short(path, &error))?;
    let text = corpus_file(path, flags.tokens, types.tokens(), &fitted);
    parse_corpus(&text).map_err(|p| Failure::scenario("the fitted corpus", &text, p))?;
    files::write(output, settings.output.as_deref(), &text)?;
    output.note(&format!(
        "{} tokens, {} different: {}",
        grouped(types.tokens()),
        grouped(types.types()),
        fitted.words(),
    ));
    if let Some(file) = settings.output.as_deref().filter(|file| *file != "-") {
        output.note(&format!("\nNext: meshwright plan -m word-lm-1b -g 64 --corpus {file}"));
    }
    Ok(Exit::Done)
}

/// Reads the whole text once, chunk by chunk.
fn count(path: &str, tokens: TokenKind, output: &Output) -> io::Result<Accumulator> {
    if path == "-" {
        return count_in(io::stdin().lock(), tokens, &mut Progress::new(None, output));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let total = metadata.is_file().then_some(metadata.len());
    count_in(file, tokens, &mut Progress::new(total, output))
}

fn count_in(
    mut reader: impl Read,
    tokens: TokenKind,
    progress: &mut Progress,
) -> io::Result<Accumulator> {
    let mut types = Accumulator::default();
    let mut tokenizer = Tokenizer::new(match tokens {
        TokenKind::Word => Unit::Word,
        TokenKind::Byte => Unit::Byte,
        TokenKind::Char => Unit::Char,
    });
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        tokenizer.feed(&chunk[..n], &mut |token| types.add(token));
        progress.advance(n as u64);
    }
    tokenizer.finish(&mut |token| types.add(token));
    Ok(types)
}

/// What was found: a power law, or a vocabulary of which every symbol occurs.
enum Fitted {
    Law(Law),
    Closed(u64),
}

impl Fitted {
    fn new(types: &Accumulator) -> Result<Self, FitError> {
        match types.fit() {
            Ok(law) => Ok(Self::Law(law)),
            Err(FitError::Saturated { vocabulary }) => Ok(Self::Closed(vocabulary)),
            Err(error) => Err(error),
        }
    }

    /// Prefactor and exponent as they are written into the file.
    fn constants(&self) -> (String, String) {
        match self {
            Self::Law(law) => (significant(law.prefactor, 4), significant(law.exponent, 4)),
            Self::Closed(vocabulary) => (vocabulary.to_string(), "0".to_string()),
        }
    }

    fn words(&self) -> String {
        let (prefactor, exponent) = self.constants();
        match self {
            Self::Law(_) => format!("U = {prefactor}·N^{exponent}, {}", self.quality()),
            Self::Closed(_) => format!("U = {prefactor}, {}", self.quality()),
        }
    }

    fn quality(&self) -> String {
        match self {
            Self::Law(law) => {
                format!("residual {} over {} samples", percent(law.residual), law.samples)
            }
            Self::Closed(_) => "nearly every type occurs in every sample".to_string(),
        }
    }
}

fn too_short(path: &str, error: &FitError) -> Failure {
    Failure::new(Exit::InvalidInput, format!("no law can be fitted to {}", files::shown(path)))
        .evidence(error.to_string())
        .hint("a law needs a text of some thousand tokens; more is better")
}

/// A corpus file; it names the text, but not the folder it lies in.
fn corpus_file(path: &str, kind: TokenKind, tokens: u64, fitted: &Fitted) -> String {
    let (prefactor, exponent) = fitted.constants();
    let file = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    let file = file.filter(|_| path != "-").unwrap_or_else(|| "standard input".to_string());
    let kind = match kind {
        TokenKind::Word => "word",
        TokenKind::Byte => "byte",
        TokenKind::Char => "char",
    };
    let source = quoted(&format!(
        "measured: {} {kind} tokens of {file}, {}",
        grouped(tokens),
        fitted.quality()
    ));
    format!(
        "# Written by `meshwright calibrate --corpus`.\n\
         # U(N) = min(vocabulary, N, prefactor * N^exponent) different tokens among N.\n\
         schema = 1\n\
         name = {}\n\
         label = {}\n\
         source = {}\n\
         token = \"{kind}\"\n\
         tokens = {{ value = {tokens}, source = \"fit\" }}\n\
         \n\
         [sources]\n\
         fit = {source}\n\
         \n\
         [vocabulary]\n\
         prefactor = {{ value = {prefactor}, source = \"fit\" }}\n\
         exponent = {{ value = {exponent}, source = \"fit\" }}\n",
        quoted(&name_of(&file)),
        quoted(&format!("{file}, {kind}s")),
        quoted(&file),
    )
}

/// A name that can be typed, from the name of a file: `My Text.v2.txt` is `my-text.v2`.
fn name_of(file: &str) -> String {
    let stem = Path::new(file).file_stem().map(|s| s.to_string_lossy().to_lowercase());
    let typed: String = stem
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();
    let name = typed.trim_matches(['-', '.']);
    if name.is_empty() { "corpus".to_string() } else { name.to_string() }
}

/// A TOML string with everything escaped that needs it.
fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
            c => c.to_string(),
        })
        .collect();
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::corpus;

    #[test]
    fn the_file_is_a_valid_corpus_whatever_the_text_is_called() {
        for path in ["/elsewhere/My \"Text\".v2.txt", "-", "日本.txt", "a\u{1}b", ".."] {
            let text = corpus_file(path, TokenKind::Char, 1234, &Fitted::Closed(97));
            let corpus = parse_corpus(&text).unwrap_or_else(|p| panic!("{path}: {p}\n{text}"));
            assert_eq!(corpus.token, corpus::TokenKind::Char);
            assert_eq!(corpus.unique(1e6, 50_000), 97.0);
            assert!(!text.contains("elsewhere"), "{text}");
        }
        assert_eq!(name_of("My Text.v2.txt"), "my-text.v2");
        assert_eq!(name_of("standard input"), "standard-input");
    }
}
