//! The shards of a node: an index, and a set of them.

/// Shards that a node can have, because a [`ShardSet`] has one bit for each.
pub const MAX_SHARDS: usize = 64;

/// Index of a shard in its node, below [`MAX_SHARDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardIndex(u8);

impl ShardIndex {
    /// # Panics
    /// Panics from [`MAX_SHARDS`] on.
    pub fn from_index(index: usize) -> Self {
        assert!(index < MAX_SHARDS, "a node has at most {MAX_SHARDS} shards");
        Self(u8::try_from(index).expect("64 shards are fewer than 256"))
    }
}

impl std::fmt::LowerHex for ShardIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::LowerHex::fmt(&self.0, f)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardSet(u64);

impl ShardSet {
    pub fn insert(&mut self, shard: ShardIndex) {
        self.0 |= 1 << shard.0;
    }

    pub fn remove(&mut self, shard: ShardIndex) {
        self.0 &= !(1 << shard.0);
    }

    pub fn contains(self, shard: ShardIndex) -> bool {
        self.0 & (1 << shard.0) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_holds_what_was_inserted_and_not_removed() {
        let (first, last) = (ShardIndex::from_index(0), ShardIndex::from_index(MAX_SHARDS - 1));
        let mut shards = ShardSet::default();
        shards.insert(first);
        shards.insert(last);
        shards.remove(first);
        assert!(!shards.contains(first) && shards.contains(last));
    }
}
