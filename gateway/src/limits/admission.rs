//! Which sockets a node takes: places for the connections of the node, of each client address, and
//! of each subject and tenant once they are known.

use std::time::Duration;

use gateway_core::access::Claims;

use crate::{
    client_address::{ClientAddress, TrustedProxies},
    limits::{Limit, LimitRefusal, Limits, places::Place},
};

/// Descriptors that a node keeps for refusals and health, for its servers' clients, and for files.
const RESERVED: u64 = 512;
/// A client that was refused a connection may come back after this time, up to twice as long: a
/// closed page or a lost phone has freed its place by then.
const RETRY: Duration = Duration::from_secs(5);

/// The places of one open socket. They are free when it is dropped.
pub struct SocketPlaces {
    _node: Place,
    /// `None` for the connection of a trusted proxy, until a request says whose it is.
    address: Option<Place>,
}

/// The places of one connected subject: those of the subject and of its tenant.
pub type SubjectPlaces = Box<[Place; 2]>;

/// The places of a Socket.IO session whose client has not shown its token yet.
pub type NewcomerPlaces = Box<[Place; 2]>;

/// The answer to a new socket.
pub enum Admission {
    Admitted(SocketPlaces),
    /// The client gets the refusal, and may still ask for health. Few connections may be in this
    /// state.
    Refused {
        refusal: LimitRefusal,
        _places: Box<[Place; 2]>,
    },
}

/// The most sockets that a process with so many descriptors can serve.
pub fn socket_limit(descriptors: u64) -> u32 {
    // A process with very few descriptors still serves some clients.
    let reserved = RESERVED.min(descriptors / 2);
    u32::try_from(descriptors - reserved).unwrap_or(u32::MAX)
}

/// Admits a new socket. `None` when even its refusal must not hold a descriptor.
pub fn admit(limits: &Limits, proxies: &TrustedProxies, peer: ClientAddress) -> Option<Admission> {
    match take_places(limits, proxies, peer) {
        Ok(places) => Some(Admission::Admitted(places)),
        Err(refusal) => refuse(limits, peer, refusal),
    }
}

/// Refuses a new socket. `None` when even its refusal must not hold a descriptor.
pub fn refuse(limits: &Limits, peer: ClientAddress, refusal: LimitRefusal) -> Option<Admission> {
    let here = limits.place(Limit::Refused, limits.node_key()).ok()?;
    let address = limits.address_key(peer.group());
    let of_address = limits.place(Limit::RefusedOfAddress, address).ok()?;
    let refusal = later(refusal);
    Some(Admission::Refused { refusal, _places: Box::new([here, of_address]) })
}

fn take_places(
    limits: &Limits,
    proxies: &TrustedProxies,
    peer: ClientAddress,
) -> Result<SocketPlaces, LimitRefusal> {
    let here = limits.place(Limit::Connections, limits.node_key())?;
    let mut places = SocketPlaces { _node: here, address: None };
    if !proxies.trusts(peer) {
        places.count_for(limits, peer)?;
    }
    Ok(places)
}

/// Takes the places of a stream that shares a connection with others. It has no descriptor, but
/// costs the node what a connection costs.
///
/// # Errors
/// The refusal when the node or the client's address has as many connections as it may have.
#[cfg(feature = "tls")]
pub fn take_stream_places(
    limits: &Limits,
    client: ClientAddress,
) -> Result<SocketPlaces, LimitRefusal> {
    let here = limits.place(Limit::Connections, limits.node_key()).map_err(later)?;
    let mut places = SocketPlaces { _node: here, address: None };
    places.count_for(limits, client)?;
    Ok(places)
}

/// A connection counts longer than a request, so its client should wait longer.
fn later(refusal: LimitRefusal) -> LimitRefusal {
    LimitRefusal { retry_after: RETRY + RETRY.mul_f64(fastrand::f64()), ..refusal }
}

impl SocketPlaces {
    /// Counts the socket for a client, unless it counts for one already.
    ///
    /// # Errors
    /// The refusal when the client's address has as many connections as it may have.
    pub fn count_for(
        &mut self,
        limits: &Limits,
        client: ClientAddress,
    ) -> Result<(), LimitRefusal> {
        if self.address.is_none() {
            let key = limits.address_key(client.group());
            let place = limits.place(Limit::ConnectionsOfAddress, key);
            self.address = Some(place.map_err(later)?);
        }
        Ok(())
    }
}

/// Takes the places of a subject that connects.
///
/// # Errors
/// The refusal when the subject or the tenant has as many connections as it may have.
pub fn take_subject_places(
    limits: &Limits,
    claims: &Claims,
) -> Result<SubjectPlaces, LimitRefusal> {
    let subject = limits.subject_key(&claims.tenant, &claims.subject);
    let of_subject = limits.place(Limit::ConnectionsOfSubject, subject).map_err(later)?;
    let tenant = limits.tenant_key(&claims.tenant);
    let of_tenant = limits.place(Limit::ConnectionsOfTenant, tenant).map_err(later)?;
    Ok(Box::new([of_subject, of_tenant]))
}

/// Takes the places of a new Socket.IO session.
///
/// # Errors
/// The refusal when the node or the client's address has as many such sessions as it may have.
pub fn take_newcomer_places(
    limits: &Limits,
    client: ClientAddress,
) -> Result<NewcomerPlaces, LimitRefusal> {
    let here = limits.place(Limit::Newcomers, limits.node_key()).map_err(later)?;
    let address = limits.address_key(client.group());
    let of_address = limits.place(Limit::NewcomersOfAddress, address).map_err(later)?;
    Ok(Box::new([here, of_address]))
}

/// Whether the node has so many connections that those without a request go early.
pub fn is_crowded(limits: &Limits) -> bool {
    let most = limits.settings().places(Limit::Connections);
    most.is_some_and(|most| limits.held(Limit::Connections, limits.node_key()) > most / 4 * 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::settings::LimitSettings;

    #[test]
    fn newcomers_of_an_address_and_of_a_node_are_bounded() {
        let changes = ["newcomers=4", "newcomers-address=2"].map(|text| text.parse().unwrap());
        let limits = Limits::without_sharing(LimitSettings::default().changed(&changes));
        let enter = |last| {
            let client = ClientAddress::new([10, 0, 0, last].into());
            take_newcomer_places(&limits, client).map_err(|refusal| refusal.limit)
        };
        let of_one = [enter(1), enter(1)];
        assert_eq!(enter(1).err(), Some(Limit::NewcomersOfAddress));
        let of_others = [enter(2), enter(3)];
        assert_eq!(enter(4).err(), Some(Limit::Newcomers));
        drop(of_one);
        assert!(enter(1).is_ok() && enter(4).is_ok());
        drop(of_others);
        assert_eq!(limits.held(Limit::Newcomers, limits.node_key()), 0);
    }

    #[test]
    fn descriptors_are_kept_for_more_than_sockets() {
        for (descriptors, sockets) in [(20_000, 19_488), (1024, 512), (256, 128), (0, 0)] {
            assert_eq!(socket_limit(descriptors), sockets, "{descriptors}");
        }
    }
}
