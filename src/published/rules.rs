//! The rules by which a row becomes a question: data, read from `scenarios/published/rules.toml`.

use super::row::Row;
use plan::lower::Recompute;
use plan::model::Latent;
use plan::scenario::model::latent;
use plan::scenario::{Item, Problems, Table, read};

/// All rules, in the order in which they are asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Devices.
    pub gpus: Vec<GpuRule>,
    /// Links inside a node.
    pub links: Vec<LinkRule>,
    /// Networks that a row does not describe.
    pub network: NetworkRule,
    /// Networks that deliver less than their rate.
    pub fabrics: Vec<FabricRule>,
    /// Software stacks.
    pub stacks: Vec<StackRule>,
    /// Shapes of models.
    pub shapes: Vec<ShapeRule>,
    /// Attention kernels that a row does not name.
    pub attention: Vec<AttentionRule>,
    /// Recomputation that a row states and did not run.
    pub recompute: Vec<RecomputeRule>,
    /// Meanings of published memory.
    pub memory: Vec<MemoryRule>,
}

/// Which device a name means.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuRule {
    words: Vec<String>,
    without: Vec<String>,
    memory: Option<f64>,
    /// Name of the device.
    pub device: String,
    /// Cluster whose links apply where a row says nothing.
    pub cluster: String,
    /// Generation, for rules about software.
    pub generation: String,
    /// Part of the cluster's bandwidth inside a node.
    pub intra_share: f64,
    /// Whether the cluster's links are what `PCIe` means for this device.
    own_link: bool,
}

/// Which links a description means.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkRule {
    words: Vec<String>,
    /// Cluster whose links inside a node apply.
    pub cluster: String,
    /// Devices that they join, where that is more than a node.
    pub domain: Option<u32>,
}

/// Networks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkRule {
    /// What a card delivers of its nominal rate.
    pub efficiency: f64,
    /// Gbit/s per device where nothing is known.
    pub assumed: f64,
}

/// A network that delivers less than its rate.
#[derive(Clone, Debug, PartialEq)]
pub struct FabricRule {
    words: Vec<String>,
    /// What it delivers of its nominal rate.
    pub efficiency: f64,
    /// Gbit/s of a node that it has at most, whatever a row says.
    pub most: Option<f64>,
}

/// How a trainer cuts the chain of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// As many layers on every stage.
    Even,
    /// Equal work, the head counted.
    Cost,
}

/// Which software stack ran a row.
#[derive(Clone, Debug, PartialEq)]
pub struct StackRule {
    any: Vec<String>,
    without: Vec<String>,
    family: Vec<String>,
    generation: Vec<String>,
    attention: Vec<String>,
    zero: Vec<u64>,
    split_model: Option<bool>,
    year: Option<(u64, u64)>,
    /// Whether words of the row named it.
    pub is_named: bool,
    /// Name of the profile.
    pub stack: String,
    /// How it cuts the chain.
    pub cut: Cut,
    /// Whether tensor parallelism always splits what lies between blocks too.
    pub splits_stream: bool,
    /// Bytes per parameter in 16-bit training: weights, gradients, optimizer state, wire.
    pub half: [u64; 4],
    /// The same in 32-bit training.
    pub single: [u64; 4],
}

/// What is known about the models of a name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShapeRule {
    words: Vec<String>,
    /// Gated feed-forward part.
    pub gated: Option<bool>,
    /// Biases.
    pub bias: Option<bool>,
    /// Biases of queries, keys and values.
    pub qkv_bias: Option<bool>,
    /// RMSNorm instead of LayerNorm.
    pub rms: Option<bool>,
    /// Rotary positions.
    pub rope: Option<bool>,
    /// Dropout.
    pub dropout: Option<bool>,
    /// Width of a head.
    pub head_dim: Option<u64>,
    /// Latent attention.
    pub latent: Option<Latent>,
    /// Width of an expert.
    pub d_expert: Option<u64>,
    /// Width of the shared experts.
    pub d_shared: Option<u64>,
    /// Leading layers without experts.
    pub dense_layers: Option<u32>,
    /// Width of their feed-forward part.
    pub d_dense: Option<u64>,
}

/// The attention kernel where the column of a row is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionRule {
    any: Vec<String>,
    /// The word that the column would have.
    pub word: String,
}

/// Recomputation of rows whose column repeats a default.
#[derive(Clone, Debug, PartialEq)]
pub struct RecomputeRule {
    any: Vec<String>,
    /// What ran.
    pub level: Recompute,
}

/// What a published amount of memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryKind {
    /// Tensors.
    Allocated,
    /// What the allocator holds.
    Reserved,
    /// What the device shows.
    Device,
}

impl MemoryKind {
    /// The word on screens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allocated => "allocated",
            Self::Reserved => "reserved",
            Self::Device => "device",
        }
    }
}

/// Which rank was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryRank {
    /// The first pipeline rank.
    First,
    /// The last one.
    Last,
    /// The fullest one.
    Worst,
}

/// How to read a published amount of memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryRule {
    any: Vec<String>,
    /// What it is.
    pub what: MemoryKind,
    /// Whose it is.
    pub rank: MemoryRank,
    /// Bytes of one unit.
    pub unit: f64,
}

/// What rules about software look at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The row.
    pub row: &'a Row,
    /// [`Row::words`].
    pub words: &'a str,
    /// Generation of the device.
    pub generation: &'a str,
}

impl Rules {
    /// The rule of a device name.
    #[must_use]
    pub fn gpu(&self, name: &str, memory: Option<f64>) -> Option<&GpuRule> {
        let name = name.to_lowercase();
        self.gpus.iter().find(|rule| {
            let fits = match (rule.memory, memory) {
                (Some(most), Some(memory)) => memory <= most,
                (Some(_), None) => false,
                (None, _) => true,
            };
            fits && all_in(&rule.words, &name) && !any_in(&rule.without, &name)
        })
    }

    /// The rule of a link's description.
    #[must_use]
    pub fn link(&self, described: &str, gpu: &GpuRule) -> Option<&LinkRule> {
        let own = |rule: &LinkRule| gpu.own_link && rule.words == ["pcie"];
        self.links.iter().find(|rule| all_in(&rule.words, described) && !own(rule))
    }

    /// The first fabric whose words all appear in a row.
    #[must_use]
    pub fn fabric(&self, words: &str) -> Option<&FabricRule> {
        self.fabrics.iter().find(|rule| all_in(&rule.words, words))
    }

    /// The first stack whose conditions hold.
    #[must_use]
    pub fn stack(&self, subject: &Subject<'_>) -> Option<&StackRule> {
        self.stacks.iter().find(|rule| rule.holds(subject))
    }

    /// The rules of somebody who does not know the software of a row: device and split decide.
    #[must_use]
    pub fn without_names(&self) -> Self {
        let stacks = self.stacks.iter().filter(|rule| !rule.is_named).cloned().collect();
        Self { stacks, ..self.clone() }
    }

    /// What a model's name says about its shape.
    #[must_use]
    pub fn shape(&self, model: &str) -> ShapeRule {
        let model = model.to_lowercase();
        self.shapes.iter().find(|rule| any_in(&rule.words, &model)).cloned().unwrap_or_default()
    }

    /// The word for the attention kernel of a row whose column is empty.
    #[must_use]
    pub fn attention(&self, words: &str) -> Option<&str> {
        let rule = self.attention.iter().find(|rule| any_in(&rule.any, words));
        rule.map(|rule| rule.word.as_str())
    }

    /// What was recomputed, where the column of the row does not say it.
    #[must_use]
    pub fn recompute(&self, words: &str) -> Option<Recompute> {
        self.recompute.iter().find(|rule| any_in(&rule.any, words)).map(|rule| rule.level)
    }

    /// What an amount of memory means.
    #[must_use]
    pub fn memory(&self, words: &str) -> Option<&MemoryRule> {
        self.memory.iter().find(|rule| rule.any.is_empty() || any_in(&rule.any, words))
    }
}

impl StackRule {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        let Subject { row, words, generation } = *subject;
        let has = |list: &[String], word: &str| {
            list.is_empty() || list.iter().any(|item| word.starts_with(item.as_str()))
        };
        let run = &row.run;
        let is_split = run.tp.unwrap_or(1) > 1 || run.pp.unwrap_or(1) > 1;
        (self.any.is_empty() || any_in(&self.any, words))
            && !any_in(&self.without, words)
            && has(&self.family, &row.family)
            && has(&self.generation, generation)
            && has(&self.attention, &row.attention)
            && (self.zero.is_empty() || run.zero.is_some_and(|z| self.zero.contains(&z)))
            && self.split_model.is_none_or(|wanted| wanted == is_split)
            && self.year.is_none_or(|(from, to)| row.year.is_some_and(|y| from <= y && y <= to))
    }
}

fn any_in(words: &[String], text: &str) -> bool {
    words.iter().any(|word| text.contains(word.as_str()))
}

fn all_in(words: &[String], text: &str) -> bool {
    words.iter().all(|word| text.contains(word.as_str()))
}

/// Reads the rules.
///
/// # Errors
/// All problems of the file.
pub fn parse(text: &str) -> Result<Rules, Problems> {
    read(text, |file| {
        let gpus = each(file, "gpu", gpu);
        let links = each(file, "link", link);
        let network = file.table("network", network);
        let fabrics = each(file, "fabric", fabric);
        let stacks = each(file, "stack", stack);
        let shapes = each(file, "shape", shape);
        let attention = each(file, "attention", attention);
        let recompute = each(file, "recompute", recompute);
        let memory = each(file, "memory", memory);
        Some(Rules {
            gpus: gpus?,
            links: links?,
            network: network?,
            fabrics: fabrics?,
            stacks: stacks?,
            shapes: shapes?,
            attention: attention?,
            recompute: recompute?,
            memory: memory?,
        })
    })
}

fn each<T>(file: &Table<'_>, key: &str, parse: impl Fn(&Table<'_>) -> Option<T>) -> Option<Vec<T>> {
    file.required(key, |item| {
        let all: Vec<Option<T>> = item.list()?.iter().map(|i| i.table(&parse)).collect();
        all.into_iter().collect()
    })
}

fn words(table: &Table<'_>, key: &str) -> Vec<String> {
    table.optional(key, Item::texts).unwrap_or_default()
}

fn counts(item: &Item<'_>) -> Option<Vec<u64>> {
    item.list()?.iter().map(|i| i.count(0)).collect()
}

fn gpu(table: &Table<'_>) -> Option<GpuRule> {
    let memory = table.optional("memory", |i| i.number(1.0..=1e4));
    let (words, without) = (words(table, "words"), words(table, "without"));
    let device = table.required("device", Item::text);
    let cluster = table.required("cluster", Item::text);
    let generation = table.required("generation", Item::text);
    let intra_share = table.optional("intra_share", Item::fraction).unwrap_or(1.0);
    let own_link = table.optional("own_link", Item::flag).unwrap_or(false);
    Some(GpuRule {
        words,
        without,
        memory,
        device: device?,
        cluster: cluster?,
        generation: generation?,
        intra_share,
        own_link,
    })
}

fn link(table: &Table<'_>) -> Option<LinkRule> {
    let words = words(table, "words");
    let domain = table.optional("domain", |i| i.count32(1));
    let cluster = table.required("cluster", Item::text)?;
    Some(LinkRule { words, cluster, domain })
}

fn network(table: &Table<'_>) -> Option<NetworkRule> {
    let efficiency = table.required("efficiency", Item::fraction);
    let assumed = table.required("assumed_gbps_per_device", |i| i.number(0.1..=1e4));
    Some(NetworkRule { efficiency: efficiency?, assumed: assumed? })
}

fn fabric(table: &Table<'_>) -> Option<FabricRule> {
    let words = words(table, "words");
    let efficiency = table.required("efficiency", Item::fraction);
    let most = table.optional("most_gbps", |i| i.number(0.1..=1e4));
    Some(FabricRule { words, efficiency: efficiency?, most })
}

fn stack(table: &Table<'_>) -> Option<StackRule> {
    let zero = table.optional("zero", counts).unwrap_or_default();
    let year = table.optional("year", |item| match counts(item)?[..] {
        [from, to] => Some((from, to)),
        _ => item.refuse("expected two years: from and to"),
    });
    let any = words(table, "any");
    let (without, family) = (words(table, "without"), words(table, "family"));
    let (generation, attention) = (words(table, "generation"), words(table, "attention"));
    let split_model = table.optional("split_model", Item::flag);
    let stack = table.required("stack", Item::text);
    let cut = table
        .optional("layers", |item| item.choice(&[("even", Cut::Even), ("cost", Cut::Cost)]))
        .unwrap_or(Cut::Even);
    let splits_stream = table.optional("splits_stream", Item::flag).unwrap_or(false);
    let half = table.required("half", bytes);
    let single = table.required("single", bytes);
    Some(StackRule {
        is_named: !any.is_empty(),
        any,
        without,
        family,
        generation,
        attention,
        zero,
        split_model,
        year,
        stack: stack?,
        cut,
        splits_stream,
        half: half?,
        single: single?,
    })
}

fn bytes(item: &Item<'_>) -> Option<[u64; 4]> {
    match counts(item)?[..] {
        [weights, gradients, optimizer, wire] => Some([weights, gradients, optimizer, wire]),
        _ => item.refuse("expected bytes of weights, gradients, optimizer state and wire"),
    }
}

fn shape(table: &Table<'_>) -> Option<ShapeRule> {
    let flag = |key: &str| table.optional(key, Item::flag);
    let count = |key: &str| table.optional(key, |i| i.count(1));
    Some(ShapeRule {
        words: words(table, "words"),
        gated: flag("gated"),
        bias: flag("bias"),
        qkv_bias: flag("qkv_bias"),
        rms: flag("rms"),
        rope: flag("rope"),
        dropout: flag("dropout"),
        head_dim: count("head_dim"),
        latent: table.table_optional("latent", latent),
        d_expert: count("d_expert"),
        d_shared: count("d_shared"),
        dense_layers: table.optional("dense_layers", |i| i.count32(0)),
        d_dense: count("d_dense"),
    })
}

fn attention(table: &Table<'_>) -> Option<AttentionRule> {
    let any = words(table, "any");
    let word = table.required("word", Item::text)?;
    Some(AttentionRule { any, word })
}

fn recompute(table: &Table<'_>) -> Option<RecomputeRule> {
    let any = words(table, "any");
    let level = table.required("level", |i| i.choice(&Recompute::ALL.map(|r| (r.name(), r))))?;
    Some(RecomputeRule { any, level })
}

fn memory(table: &Table<'_>) -> Option<MemoryRule> {
    let any = words(table, "any");
    let what = table.required("what", |item| {
        let kinds = [MemoryKind::Allocated, MemoryKind::Reserved, MemoryKind::Device];
        item.choice(&kinds.map(|kind| (kind.name(), kind)))
    });
    let ranks =
        [("first", MemoryRank::First), ("last", MemoryRank::Last), ("worst", MemoryRank::Worst)];
    let rank = table.required("rank", |item| item.choice(&ranks));
    let unit = table.required("unit", |item| item.number(1.0..=1e12));
    Some(MemoryRule { any, what: what?, rank: rank?, unit: unit? })
}
