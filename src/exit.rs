//! Exit codes: part of the public interface, listed in the man page.

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// No plan fits, or plans differ with `compare --exit-code`.
    NoPlan,
    /// The command line is wrong.
    Usage,
    /// An input file is wrong or cannot be read.
    InvalidInput,
    /// A file could not be written, or running a plan failed.
    Failed,
    /// A bug in meshwright.
    Bug,
    /// Interrupted from the keyboard.
    Interrupted,
}

impl Exit {
    /// All codes, in order of their number.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::NoPlan,
        Self::Usage,
        Self::InvalidInput,
        Self::Failed,
        Self::Bug,
        Self::Interrupted,
    ];

    /// The number that the shell sees.
    ///
    /// 130 is how a shell reports the default action of Ctrl-C, which is left in place: nothing
    /// is written in halves (see `files::write`), so there is nothing to clean up.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NoPlan => 1,
            Self::Usage => 2,
            Self::InvalidInput => 3,
            Self::Failed => 4,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }

    /// What the number means, for help and man page.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NoPlan => "no feasible plan, or plans differ with compare --exit-code",
            Self::Usage => "wrong command line, or an unknown name",
            Self::InvalidInput => "an input file is wrong or cannot be read",
            Self::Failed => "a file could not be written, or the execution failed",
            Self::Bug => "a bug in meshwright",
            Self::Interrupted => "interrupted with Ctrl-C",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_the_published_ones_and_in_order() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|e| e.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 70, 130]);
    }
}
