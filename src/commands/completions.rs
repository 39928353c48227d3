//! Completions and man page, generated from the flag table.

use crate::cli;
use crate::diagnostics::Failure;
use crate::exit::Exit;
use crate::files;
use crate::output::Output;
use crate::settings::Settings;
use clap_complete::Shell;

/// Writes completions for a shell.
pub fn completions(
    shell: Shell,
    settings: &Settings,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "meshwright", &mut script);
    write(&script, settings, output)
}

/// Writes the man page: commands and flags, then exit codes, environment and files.
pub fn man(settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(cli::command()).render(&mut page);
    rendered.map_err(|error| Failure::new(Exit::Failed, format!("no man page: {error}")))?;
    let mut text = String::from_utf8_lossy(&page).into_owned();
    for (topic, title) in
        [("exit-codes", "EXIT STATUS"), ("environment", "ENVIRONMENT"), ("config", "FILES")]
    {
        text += &format!(".SH {title}\n.nf\n{}.fi\n", roff(&super::help::topic_text(topic)));
    }
    write(text.as_bytes(), settings, output)
}

/// Text in which no line is a request and no backslash an escape.
fn roff(text: &str) -> String {
    let line = |line: &str| {
        let escaped = line.replace('\\', "\\e").replace('-', "\\-");
        if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}\n") } else { escaped + "\n" }
    };
    text.lines().map(line).collect()
}

fn write(bytes: &[u8], settings: &Settings, output: &mut Output) -> Result<Exit, Failure> {
    let text = String::from_utf8_lossy(bytes);
    files::write(output, settings.output.as_deref(), &text)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::roff;

    #[test]
    fn no_line_of_text_is_a_request() {
        assert_eq!(roff(".TH x\n'a\n-q \\n\n"), "\\&.TH x\n\\&'a\n\\-q \\en\n");
    }
}
