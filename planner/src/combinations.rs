//! Decisions that the software stack does not run together: plans without them are looked for.

use crate::request::Request;
use crate::setting::Setting;
use crate::space::Configuration;
use cost_model::memory::Zero;
use plan::model::{Family, Transformer};
use plan::schedule::ScheduleKind;

/// Decisions that software may not run together, each of which it runs alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Combination {
    /// Sharded parameters (ZeRO 3), and a table that input and output of one rank share.
    TiedShards,
    /// Positions on several ranks, and a number of them that does not divide.
    UnevenPositions,
    /// Context parallelism, and cached positions.
    SplitMemory,
    /// Context parallelism, and a mixture of experts.
    SplitExperts,
    /// A token table in pieces on several stages.
    TablePieces,
    /// Replicas that train apart, and experts that they share.
    ApartExperts,
}

impl Combination {
    /// What does not go together, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::TiedShards => "ZeRO 3 with a table that input and output of one rank share",
            Self::UnevenPositions => "positions over ranks that do not divide them",
            Self::SplitMemory => "context parallelism with cached positions",
            Self::SplitExperts => "context parallelism with a mixture of experts",
            Self::TablePieces => "a token table in pieces on several stages",
            Self::ApartExperts => "expert parallelism with replicas that train apart",
        }
    }
}

/// The first combination of a configuration that the stack refuses.
#[must_use]
pub fn refused(request: &Request<'_>, c: &Configuration) -> Option<Combination> {
    request.refuses.iter().copied().find(|&one| has(request, c, one))
}

/// Whether the stack refuses a setting of a configuration.
#[must_use]
pub fn refuses_setting(request: &Request<'_>, c: &Configuration, setting: Setting) -> bool {
    let one = Combination::TiedShards;
    setting.zero == Zero::Parameters && ends_share(request, c) && request.refuses.contains(&one)
}

/// Whether one rank holds a table as input and output.
fn ends_share(request: &Request<'_>, c: &Configuration) -> bool {
    let is_tied = request.model.table.is_some_and(|table| table.tied);
    let returns = matches!(c.schedule, ScheduleKind::ZeroBubbleV | ScheduleKind::Ouroboros);
    is_tied && (c.degrees.pp == 1 || returns)
}

fn has(request: &Request<'_>, c: &Configuration, combination: Combination) -> bool {
    let d = c.degrees;
    let tensor = if c.sequence_parallel { d.tp } else { 1 };
    let apart = u64::from(d.cp) * u64::from(tensor);
    let transformer = |has: fn(&Transformer) -> bool| match &request.model.spec.family {
        Family::Transformer(t) => has(t),
        _ => false,
    };
    match combination {
        // A matter of the setting, unless that is pinned.
        Combination::TiedShards => {
            request.pins.zero == Some(Zero::Parameters) && ends_share(request, c)
        }
        Combination::UnevenPositions => !request.sequence().is_multiple_of(apart.max(1)),
        Combination::SplitMemory => d.cp > 1 && transformer(|t| t.memory_length > 0),
        Combination::SplitExperts => d.cp > 1 && transformer(|t| t.experts.is_some()),
        Combination::TablePieces => c.pieces > 1,
        Combination::ApartExperts => request.pins.local_steps.is_some() && d.ep > 1,
    }
}
