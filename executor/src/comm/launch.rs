//! Which rank a process is, by the environment of what launched it.

use thiserror::Error;

/// A rank among ranks, and where they meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What launched it.
    pub launcher: &'static str,
    /// This rank.
    pub rank: u32,
    /// Ranks in total.
    pub ranks: u32,
    /// Rank on its node, where the launcher says.
    pub local_rank: Option<u32>,
    /// Host and port of the meeting, where the launcher says.
    pub meeting: Option<String>,
}

/// Why the environment does not say which rank this is.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LaunchError {
    /// Some variables of a launcher are set, others not.
    #[error("{set} is set but {missing} is not; {launcher} sets both, so something is left over")]
    Half {
        /// The launcher they belong to.
        launcher: &'static str,
        /// One that is set.
        set: &'static str,
        /// One that is not.
        missing: &'static str,
    },
    /// A variable is not a number.
    #[error("{name} is \"{value}\", which is no rank; unset it or give a whole number")]
    NoNumber {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// The rank is not among the ranks.
    #[error("rank {rank} of {ranks} does not exist; ranks count from 0")]
    Outside {
        /// The rank.
        rank: u32,
        /// Ranks in total.
        ranks: u32,
    },
}

/// The launcher that is this program itself.
const OWN: &str = "meshwright";

/// Variables of a launcher: name, rank, ranks, local rank.
const LAUNCHERS: [(&str, &str, &str, &str); 5] = [
    (OWN, "MESHWRIGHT_RANK", "MESHWRIGHT_WORLD_SIZE", "MESHWRIGHT_LOCAL_RANK"),
    ("torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
    ("srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    ("mpiexec", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
];

const MEETING: &str = "MESHWRIGHT_MEETING";

type Get<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Place {
    /// A rank that this program starts on its own host.
    #[must_use]
    pub fn own(rank: u32, ranks: u32, meeting: String) -> Self {
        Self { launcher: OWN, rank, ranks, local_rank: Some(rank), meeting: Some(meeting) }
    }

    /// Whether this program launched the rank.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.launcher == OWN
    }

    /// The variables from which [`Self::find`] reads [`Self::own`].
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let (_, rank, ranks, local) = LAUNCHERS[0];
        let meeting = self.meeting.clone().unwrap_or_default();
        let local_rank = self.local_rank.unwrap_or(self.rank).to_string();
        vec![
            (rank, self.rank.to_string()),
            (ranks, self.ranks.to_string()),
            (local, local_rank),
            (MEETING, meeting),
        ]
    }

    /// Reads variables through `get`. `None` where nothing launched this process as a rank.
    ///
    /// # Errors
    /// Half of a launcher's variables, or values that make no sense.
    pub fn find(get: Get<'_>) -> Result<Option<Self>, LaunchError> {
        for (launcher, rank, ranks, local) in LAUNCHERS {
            let found = (number(get, rank)?, number(get, ranks)?);
            let (rank, ranks) = match found {
                (Some(rank), Some(ranks)) => (rank, ranks),
                (None, None) => continue,
                // A job step of Slurm has both; an allocation sets the number of tasks alone.
                (None, Some(_)) if launcher == "srun" => continue,
                (Some(_), None) => {
                    return Err(LaunchError::Half { launcher, set: rank, missing: ranks });
                }
                (None, Some(_)) => {
                    return Err(LaunchError::Half { launcher, set: ranks, missing: rank });
                }
            };
            if rank >= ranks {
                return Err(LaunchError::Outside { rank, ranks });
            }
            let local_rank = number(get, local)?;
            let meeting = meeting(get, launcher)?;
            return Ok(Some(Self { launcher, rank, ranks, local_rank, meeting }));
        }
        Ok(None)
    }
}

fn number(get: Get<'_>, name: &'static str) -> Result<Option<u32>, LaunchError> {
    let Some(value) = get(name) else { return Ok(None) };
    let parsed = value.trim().parse();
    parsed.map(Some).map_err(|_| LaunchError::NoNumber { name, value })
}

fn meeting(get: Get<'_>, launcher: &str) -> Result<Option<String>, LaunchError> {
    if launcher == OWN {
        return Ok(get(MEETING));
    }
    if let (Some(host), Some(port)) = (get("MASTER_ADDR"), number(get, "MASTER_PORT")?) {
        // torchrun's own store listens at the port that it announces.
        let taken = get("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|v| v == "True");
        return Ok(Some(format!("{host}:{}", port + u32::from(taken))));
    }
    if launcher != "srun" {
        return Ok(None);
    }
    let Some(host) = get("SLURM_STEP_NODELIST").and_then(|list| first_node(&list)) else {
        return Ok(None);
    };
    let job = number(get, "SLURM_JOB_ID")?.unwrap_or(0);
    Ok(Some(format!("{host}:{}", 20_000 + job % 10_000)))
}

/// The first of `a[01-04,07],b1`: `a01`.
fn first_node(list: &str) -> Option<String> {
    let (prefix, rest) = match list.find(['[', ',']) {
        Some(at) if list[at..].starts_with('[') => list.split_at(at),
        Some(at) => return Some(list[..at].to_string()),
        None => return (!list.is_empty()).then(|| list.to_string()),
    };
    let first = rest[1..].split(['-', ',', ']']).next()?;
    Some(format!("{prefix}{first}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(set: &[(&str, &str)]) -> Result<Option<Place>, LaunchError> {
        Place::find(&|name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string())
        })
    }

    #[test]
    fn every_launcher_is_understood() {
        let torchrun = [
            ("RANK", "3"),
            ("WORLD_SIZE", "4"),
            ("LOCAL_RANK", "1"),
            ("MASTER_ADDR", "node7"),
            ("MASTER_PORT", "29500"),
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
        ];
        let place = find(&torchrun).unwrap().unwrap();
        assert_eq!((place.rank, place.ranks, place.local_rank), (3, 4, Some(1)));
        assert_eq!(place.meeting.as_deref(), Some("node7:29501"));
        let slurm = [
            ("SLURM_PROCID", "0"),
            ("SLURM_NTASKS", "2"),
            ("SLURM_STEP_NODELIST", "a[03-04]"),
            ("SLURM_JOB_ID", "12345"),
        ];
        let place = find(&slurm).unwrap().unwrap();
        assert_eq!((place.launcher, place.meeting.as_deref()), ("srun", Some("a03:22345")));
        let mpi = [("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_COMM_WORLD_SIZE", "2")];
        assert_eq!(find(&mpi).unwrap().unwrap().launcher, "mpirun");
        assert_eq!(find(&[]), Ok(None));
    }

    #[test]
    fn own_ranks_find_themselves_whatever_launched_their_parent() {
        let own = Place::own(1, 2, "127.0.0.1:4000".into());
        let mut set = own.variables();
        set.extend([("RANK", "0".to_string()), ("WORLD_SIZE", "8".to_string())]);
        let set: Vec<(&str, &str)> = set.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(find(&set), Ok(Some(own)));
    }

    #[test]
    fn half_an_environment_is_refused() {
        let error = find(&[("RANK", "0")]).unwrap_err().to_string();
        assert!(error.contains("WORLD_SIZE is not"), "{error}");
        let error = find(&[("RANK", "x"), ("WORLD_SIZE", "2")]).unwrap_err().to_string();
        assert!(error.contains("\"x\""), "{error}");
        let error = find(&[("RANK", "2"), ("WORLD_SIZE", "2")]).unwrap_err();
        assert_eq!(error, LaunchError::Outside { rank: 2, ranks: 2 });
        assert_eq!(find(&[("SLURM_NTASKS", "8")]), Ok(None));
    }

    #[test]
    fn node_lists() {
        let first = |list: &str| first_node(list).unwrap_or_default();
        assert_eq!(["n1", "n1,n2", "gpu-[7,9]"].map(first), ["n1", "n1", "gpu-7"]);
        assert_eq!(first_node(""), None);
    }
}
