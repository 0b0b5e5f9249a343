//! A slab whose keys are newtypes, so that an index of one slab cannot be used in another.

use std::marker::PhantomData;

use gateway_core::subscription::HotViewId;
use slab::Slab;

use crate::inbox::ids::ConnId;

pub trait SlabKey: Copy {
    fn from_index(index: usize) -> Self;
    fn index(self) -> usize;
}

impl SlabKey for ConnId {
    fn from_index(index: usize) -> Self {
        Self::from_index(index)
    }

    fn index(self) -> usize {
        self.index()
    }
}

impl SlabKey for HotViewId {
    fn from_index(index: usize) -> Self {
        Self::from_index(index)
    }

    fn index(self) -> usize {
        self.index()
    }
}

pub struct TypedSlab<K, V> {
    values: Slab<V>,
    key: PhantomData<K>,
}

impl<K, V> Default for TypedSlab<K, V> {
    fn default() -> Self {
        Self { values: Slab::new(), key: PhantomData }
    }
}

impl<K: SlabKey, V> TypedSlab<K, V> {
    pub fn insert(&mut self, value: V) -> K {
        K::from_index(self.values.insert(value))
    }

    pub fn get(&self, key: K) -> Option<&V> {
        self.values.get(key.index())
    }

    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.values.get_mut(key.index())
    }

    pub fn remove(&mut self, key: K) -> Option<V> {
        self.values.try_remove(key.index())
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn keys(&self) -> Vec<K> {
        self.values.iter().map(|(index, _)| K::from_index(index)).collect()
    }
}
