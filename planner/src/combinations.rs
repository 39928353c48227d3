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
    /// Sharded parameters (ZeRO 3), and a table that input and output share.
    TiedShards,
    /// Positions on several ranks, and a number of them that does not divide.
    UnevenPositions,
    /// Positions on several ranks, and cached positions.
    SplitMemory,
    /// Context parallelism, and a mixture of experts.
    SplitExperts,
    /// A token table in pieces on several stages.
    TablePieces,
    /// Stale gradients, and a table that input and output share, over replicas.
    StaleTiedReplicas,
    /// Replicas that train apart, and experts that they share.
    ApartExperts,
}

impl Combination {
    /// What does not go together, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::TiedShards => "ZeRO 3 with a table that input and output share",
            Self::UnevenPositions => "positions over ranks that do not divide them",
            Self::SplitMemory => "sequence or context parallelism with cached positions",
            Self::SplitExperts => "context parallelism with a mixture of experts",
            Self::TablePieces => "a token table in pieces on several stages",
            Self::StaleTiedReplicas => "Ouroboros with a tied table over replicas",
            Self::ApartExperts => "expert parallelism with replicas that train apart",
        }
    }
}

/// The first combination of a configuration that the stack refuses.
#[must_use]
pub fn refused(request: &Request<'_>, c: &Configuration) -> Option<Combination> {
    request.refuses.iter().copied().find(|&one| has(request, c, one))
}

/// Whether the stack refuses a setting.
#[must_use]
pub fn refused_setting(request: &Request<'_>, setting: Setting) -> Option<Combination> {
    let is_tied = request.model.table.is_some_and(|table| table.tied);
    let is_shards = is_tied && setting.zero == Zero::Parameters;
    let one = Combination::TiedShards;
    (is_shards && request.refuses.contains(&one)).then_some(one)
}

fn has(request: &Request<'_>, c: &Configuration, combination: Combination) -> bool {
    let d = c.degrees;
    let tensor = if c.sequence_parallel { d.tp } else { 1 };
    let apart = u64::from(d.cp) * u64::from(tensor);
    let is_tied = request.model.table.is_some_and(|table| table.tied);
    let transformer = |has: fn(&Transformer) -> bool| match &request.model.spec.family {
        Family::Transformer(t) => has(t),
        _ => false,
    };
    match combination {
        // A matter of the setting.
        Combination::TiedShards => false,
        Combination::UnevenPositions => !request.sequence().is_multiple_of(apart.max(1)),
        Combination::SplitMemory => apart > 1 && transformer(|t| t.memory_length > 0),
        Combination::SplitExperts => d.cp > 1 && transformer(|t| t.experts.is_some()),
        Combination::TablePieces => c.pieces > 1,
        Combination::StaleTiedReplicas => {
            is_tied && c.schedule == ScheduleKind::Ouroboros && d.dp * d.cp > 1
        }
        Combination::ApartExperts => request.pins.local_steps.is_some() && d.ep > 1,
    }
}
