//! Sessions of clients that have not shown a token yet. Anybody can begin one by a single request,
//! so they are few.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use dashmap::DashMap;

use crate::client_address::{AddressGroup, ClientAddress};

/// Newcomers of one address. A clinic's phones and screens share an address, and all come back at
/// once after an outage; each is a newcomer for one or two round trips.
const PER_ADDRESS: usize = 200;
/// Newcomers of a node: a few KiB each, so about 20 MiB.
const PER_NODE: usize = 2000;

/// The newcomers of a node.
#[derive(Default)]
pub(super) struct Newcomers {
    total: AtomicUsize,
    by_address: DashMap<AddressGroup, usize>,
}

/// A place among the newcomers. Dropping it frees the place.
pub struct Newcomer {
    newcomers: Arc<Newcomers>,
    address: AddressGroup,
}

impl Newcomers {
    /// Takes a place for a new session. `None` when all places of the address or of the node are
    /// taken.
    pub(super) fn enter(self: &Arc<Self>, address: ClientAddress) -> Option<Newcomer> {
        let address = address.group();
        let mut of_address = self.by_address.entry(address).or_default();
        if *of_address >= PER_ADDRESS || self.total.load(Ordering::Relaxed) >= PER_NODE {
            if *of_address == 0 {
                drop(of_address);
                self.forget(address);
            }
            return None;
        }
        *of_address += 1;
        drop(of_address);
        self.total.fetch_add(1, Ordering::Relaxed);
        Some(Newcomer { newcomers: self.clone(), address })
    }

    /// Removes an address that has no newcomer.
    fn forget(&self, address: AddressGroup) {
        self.by_address.remove_if(&address, |_, count| *count == 0);
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        self.newcomers.total.fetch_sub(1, Ordering::Relaxed);
        if let Some(mut count) = self.newcomers.by_address.get_mut(&self.address) {
            *count -= 1;
        }
        self.newcomers.forget(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: usize) -> ClientAddress {
        let [.., high, low] = number.to_be_bytes();
        ClientAddress::new([10, 0, high, low].into())
    }

    #[test]
    fn places_of_an_address_are_its_own() {
        let newcomers = Arc::<Newcomers>::default();
        let enter = |number| newcomers.enter(client(number));
        let held: Vec<_> = (0..PER_ADDRESS).map(|_| enter(1).unwrap()).collect();
        assert!(enter(1).is_none());
        let other = enter(2).unwrap();
        drop(held);
        assert!(enter(1).is_some());
        drop(other);
        assert_eq!((newcomers.total.load(Ordering::Relaxed), newcomers.by_address.len()), (0, 0));
    }

    #[test]
    fn places_of_a_node_are_bounded_and_leave_nothing_behind() {
        let newcomers = Arc::<Newcomers>::default();
        let enter = |number| newcomers.enter(client(number));
        let held: Vec<_> = (0..PER_NODE).map(|number| enter(number).unwrap()).collect();
        for number in PER_NODE..2 * PER_NODE {
            assert!(enter(number).is_none());
        }
        assert_eq!(newcomers.by_address.len(), PER_NODE);
        drop(held);
        assert_eq!((newcomers.total.load(Ordering::Relaxed), newcomers.by_address.len()), (0, 0));
    }
}
