//! Creates ACLs by Kafka's own protocol, since no client library in use can: one request
//! `CreateAcls` in version 1. Source: the protocol guide of Apache Kafka.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

#[derive(Debug, Clone, Copy)]
pub enum Operation {
    Read = 3,
    Write = 4,
    Describe = 8,
    DescribeConfigs = 10,
}

#[derive(Debug, Clone)]
pub enum Resource {
    Topic(String),
    Group(String),
}

/// The rights of one user to one resource, from any host.
#[derive(Debug, Clone)]
pub struct Acl {
    /// Such as `User:gateway`.
    pub principal: String,
    pub resource: Resource,
    pub operation: Operation,
}

const CREATE_ACLS: i16 = 30;
const VERSION: i16 = 1;
/// The name is exactly that of the resource.
const LITERAL: u8 = 3;
const ALLOW: u8 = 3;

fn put_string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend(text.as_bytes());
}

/// Creates ACLs at a broker that lets us.
pub fn create(broker: &str, acls: &[Acl]) {
    let mut request = Vec::new();
    request.extend(CREATE_ACLS.to_be_bytes());
    request.extend(VERSION.to_be_bytes());
    request.extend(1i32.to_be_bytes()); // the number of the request
    put_string(&mut request, "tests");
    request.extend(i32::try_from(acls.len()).unwrap().to_be_bytes());
    for Acl { principal, resource, operation } in acls {
        let (kind, name) = match resource {
            Resource::Topic(name) => (2, name),
            Resource::Group(name) => (3, name),
        };
        request.push(kind);
        put_string(&mut request, name);
        request.push(LITERAL);
        put_string(&mut request, principal);
        put_string(&mut request, "*");
        request.extend([*operation as u8, ALLOW]);
    }
    let mut socket = TcpStream::connect(broker).unwrap();
    socket.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    socket.write_all(&request).unwrap();
    let mut length = [0; 4];
    socket.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    socket.read_exact(&mut answer).unwrap();
    // The number of the request, the throttle time and the count come first.
    let mut results = &answer[12..];
    for acl in acls {
        let code = i16::from_be_bytes([results[0], results[1]]);
        assert_eq!(code, 0, "{acl:?} was refused: {}", String::from_utf8_lossy(results));
        let length = i16::from_be_bytes([results[2], results[3]]);
        results = &results[4 + usize::try_from(length).unwrap_or(0)..];
    }
}
