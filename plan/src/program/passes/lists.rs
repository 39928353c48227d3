//! Many short lists of numbers in one piece of memory: an allocation each is what lowering would
//! spend most of its time on.

/// No entry.
const END: u32 = u32::MAX;

/// One list per key; the latest entry is the first.
pub(super) struct Lists {
    heads: Vec<u32>,
    /// An entry, and where the next one is.
    entries: Vec<(u32, u32)>,
}

impl Lists {
    /// Empty lists for keys below `keys`.
    pub fn new(keys: usize) -> Self {
        Self { heads: vec![END; keys], entries: Vec::with_capacity(keys) }
    }

    /// Adds an entry to a list.
    pub fn push(&mut self, key: usize, entry: u32) {
        self.entries.push((entry, self.heads[key]));
        self.heads[key] = self.entries.len() as u32 - 1;
    }

    /// Whether a list has no entry.
    pub fn is_empty(&self, key: usize) -> bool {
        self.heads[key] == END
    }

    /// Forgets a list.
    pub fn clear(&mut self, key: usize) {
        self.heads[key] = END;
    }

    /// Replaces the first entry that fits, or adds one.
    pub fn replace(&mut self, key: usize, entry: u32, fits: impl Fn(u32) -> bool) {
        let mut at = self.heads[key];
        while at != END {
            let (known, next) = self.entries[at as usize];
            if fits(known) {
                self.entries[at as usize].0 = entry;
                return;
            }
            at = next;
        }
        self.push(key, entry);
    }

    /// The entries of a list.
    pub fn of(&self, key: usize) -> impl Iterator<Item = u32> {
        let mut at = self.heads[key];
        std::iter::from_fn(move || {
            let &(entry, next) = self.entries.get(at as usize)?;
            at = next;
            Some(entry)
        })
    }
}
