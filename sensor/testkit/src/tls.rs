//! TLS hellos, certificates and records (RFC 8446, RFC 5246). No handshake made of these would complete: keys,
//! signatures and ciphertext are filler.

use std::net::IpAddr;

/// A client or server hello, put together by hand.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Version field at the front.
    pub version: u16,
    /// Random value.
    pub random: [u8; 32],
    /// Session id, of any length below 256.
    pub session_id: Vec<u8>,
    /// Cipher suites; a server names one.
    pub ciphers: Vec<u16>,
    /// Extensions in their order, with their content; `None` for a hello that ends before them.
    pub extensions: Option<Vec<(u16, Vec<u8>)>>,
}

impl Hello {
    /// What a plain client of TLS 1.3 and 1.2 sends.
    pub fn client(name: &str) -> Self {
        Self {
            version: 0x0303,
            random: [0x51; 32],
            session_id: vec![0x1d; 32],
            ciphers: vec![0x1301, 0x1302, 0xc02b, 0xc02f],
            extensions: Some(vec![
                (0, server_names(&[(0, name.as_bytes())])),
                (10, list16(&[0x001d, 0x0017])),
                (13, list16(&[0x0403, 0x0804, 0x0401])),
                (16, protocols(&[b"h2", b"http/1.1"])),
                (43, list8(&[0x0304, 0x0303])),
                (51, key_shares(&[(0x001d, 32)])),
            ]),
        }
    }

    /// What a server of TLS 1.3 answers.
    pub fn server13() -> Self {
        Self {
            version: 0x0303,
            random: [0x52; 32],
            session_id: vec![0x1d; 32],
            ciphers: vec![0x1301],
            extensions: Some(vec![(43, vec![3, 4]), (51, [&[0, 0x1d, 0, 32][..], &[9; 32]].concat())]),
        }
    }

    /// What a server of TLS 1.2 answers that took this protocol and begins a new session.
    pub fn server12(protocol: &[u8]) -> Self {
        Self {
            version: 0x0303,
            random: [0x53; 32],
            session_id: vec![0x2e; 32],
            ciphers: vec![0xc02f],
            extensions: Some(vec![(0, Vec::new()), (16, protocols(&[protocol]))]),
        }
    }

    /// A hello retry request.
    pub fn retry() -> Self {
        let random = [
            0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2,
            0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
        ];
        Self { random, extensions: Some(vec![(43, vec![3, 4]), (51, vec![0, 0x17])]), ..Self::server13() }
    }

    /// With this extension in place of the one of its number, or at the end.
    #[must_use]
    pub fn with(mut self, number: u16, content: Vec<u8>) -> Self {
        let all = self.extensions.get_or_insert_default();
        match all.iter_mut().find(|(n, _)| *n == number) {
            Some((_, old)) => *old = content,
            None => all.push((number, content)),
        }
        self
    }

    /// With this extension at the end, though there may be one of its number.
    #[must_use]
    pub fn and(mut self, number: u16, content: Vec<u8>) -> Self {
        self.extensions.get_or_insert_default().push((number, content));
        self
    }

    /// Without the extension of this number.
    #[must_use]
    pub fn without(mut self, number: u16) -> Self {
        self.extensions.get_or_insert_default().retain(|(n, _)| *n != number);
        self
    }

    /// The body of the message of a client.
    pub fn client_body(&self) -> Vec<u8> {
        let ciphers: Vec<u8> = self.ciphers.iter().flat_map(|c| c.to_be_bytes()).collect();
        [self.front(), vec16(&ciphers), vec![1, 0], self.back()].concat()
    }

    /// The message of a client, header included.
    pub fn client_message(&self) -> Vec<u8> {
        handshake(1, &self.client_body())
    }

    /// The message of a server, header included.
    pub fn server_message(&self) -> Vec<u8> {
        handshake(2, &[self.front(), self.ciphers[0].to_be_bytes().to_vec(), vec![0], self.back()].concat())
    }

    fn front(&self) -> Vec<u8> {
        [&self.version.to_be_bytes()[..], &self.random, &[self.session_id.len() as u8], &self.session_id].concat()
    }

    fn back(&self) -> Vec<u8> {
        let Some(all) = &self.extensions else { return Vec::new() };
        let all: Vec<u8> =
            all.iter().flat_map(|(number, content)| [&number.to_be_bytes()[..], &vec16(content)].concat()).collect();
        vec16(&all)
    }
}

/// `bytes` with their length in two bytes in front.
pub fn vec16(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// `bytes` with their length in three bytes in front.
pub fn vec24(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[1..], bytes].concat()
}

/// Content of an extension that lists two-byte values under a length of two bytes.
pub fn list16(values: &[u16]) -> Vec<u8> {
    vec16(&values.iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<_>>())
}

/// Content of the `supported_versions` extension of a client.
pub fn list8(values: &[u16]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
    [&[bytes.len() as u8][..], &bytes].concat()
}

/// Content of the server name extension: names with their kinds, of which 0 is a host name.
pub fn server_names(names: &[(u8, &[u8])]) -> Vec<u8> {
    vec16(&names.iter().flat_map(|(kind, name)| [vec![*kind], vec16(name)].concat()).collect::<Vec<_>>())
}

/// Content of the application protocol extension.
pub fn protocols(names: &[&[u8]]) -> Vec<u8> {
    vec16(&names.iter().flat_map(|name| [&[name.len() as u8][..], name].concat()).collect::<Vec<_>>())
}

/// Content of the key share extension of a client: groups with the lengths of their keys.
pub fn key_shares(shares: &[(u16, usize)]) -> Vec<u8> {
    vec16(
        &shares
            .iter()
            .flat_map(|(group, len)| [group.to_be_bytes().to_vec(), vec16(&vec![7; *len])].concat())
            .collect::<Vec<_>>(),
    )
}

/// A handshake message.
pub fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    [vec![kind], vec24(body)].concat()
}

/// One record: 20 change cipher spec, 21 alert, 22 handshake, 23 application data.
pub fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    [vec![kind, 3, 3], vec16(payload)].concat()
}

/// Handshake bytes in records of `size` bytes.
pub fn records(payload: &[u8], size: usize) -> Vec<u8> {
    payload.chunks(size).flat_map(|chunk| record(22, chunk)).collect()
}

/// The message of a server of TLS 1.2 that holds this chain, leaf first.
pub fn certificates(chain: &[Vec<u8>]) -> Vec<u8> {
    handshake(11, &vec24(&chain.iter().flat_map(|der| vec24(der)).collect::<Vec<_>>()))
}

/// A certificate in DER for this common name, if any, and these alternative names, hosts and addresses alike.
pub fn certificate(common_name: Option<&str>, names: &[&str]) -> Vec<u8> {
    let algorithm = der(0x30, &[der(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])].concat());
    let subject = |name: &str| {
        let pair =
            |oid: u8, text: &str| der(0x31, &der(0x30, &[der(6, &[0x55, 4, oid]), der(12, text.as_bytes())].concat()));
        der(0x30, &[pair(10, "Example"), pair(3, name)].concat())
    };
    let alternatives: Vec<u8> = names
        .iter()
        .flat_map(|name| match name.parse() {
            Ok(IpAddr::V4(v4)) => der(0x87, &v4.octets()),
            Ok(IpAddr::V6(v6)) => der(0x87, &v6.octets()),
            Err(_) => der(0x82, name.as_bytes()),
        })
        .collect();
    let mut extensions =
        der(0x30, &[der(6, &[0x55, 0x1d, 0x0f]), der(1, &[0xff]), der(4, &der(3, &[7, 0x80]))].concat());
    if !names.is_empty() {
        extensions.extend(der(0x30, &[der(6, &[0x55, 0x1d, 0x11]), der(4, &der(0x30, &alternatives))].concat()));
    }
    let key = der(0x30, &[algorithm.clone(), der(3, &[&[0][..], &[4; 65]].concat())].concat());
    let body = der(
        0x30,
        &[
            der(0xa0, &der(2, &[2])),
            der(2, &[0x11, 0x22]),
            algorithm.clone(),
            subject("Example CA"),
            der(0x30, &[der(23, b"260101000000Z"), der(23, b"270101000000Z")].concat()),
            common_name.map_or_else(|| der(0x30, &[]), subject),
            key,
            der(0xa3, &der(0x30, &extensions)),
        ]
        .concat(),
    );
    der(0x30, &[body, algorithm, der(3, &[&[0][..], &[9; 64]].concat())].concat())
}

/// An element of DER.
pub fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let length = match len {
        0..0x80 => vec![len as u8],
        0x80..0x100 => vec![0x81, len as u8],
        0x100..0x1_0000 => [&[0x82][..], &(len as u16).to_be_bytes()].concat(),
        _ => [&[0x83][..], &(len as u32).to_be_bytes()[1..]].concat(),
    };
    [vec![tag], length, content.to_vec()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_stand_where_they_belong() {
        assert_eq!(server_names(&[(0, b"server")]), b"\0\x09\0\0\x06server");
        assert_eq!(protocols(&[b"h2"]), b"\0\x03\x02h2");
        assert_eq!(list8(&[0x0304]), b"\x02\x03\x04");
        assert_eq!(record(21, &[2, 40]), b"\x15\x03\x03\0\x02\x02\x28");
        assert_eq!(records(&[1, 2, 3], 2), b"\x16\x03\x03\0\x02\x01\x02\x16\x03\x03\0\x01\x03");
        let message = Hello { extensions: None, ..Hello::client("a") }.client_message();
        assert_eq!((message.len(), &message[..6]), (83, &b"\x01\0\0\x4f\x03\x03"[..]));
        assert_eq!(der(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
    }
}
